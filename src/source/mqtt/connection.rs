//! One connection: messages in, batches out, and each message acknowledged once its readings are safe.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use delivery::batch::{Batch, Receipt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};
use wire::Reading;

use super::Broker;
use super::decoder::Message;
use super::dial::{CHUNK_BYTES, ConnectionError, Dialled};
use super::frames::{Frame, NotMqtt};
use super::packet::{self, Granted, Packet};
use super::server::Server;
use super::window::Window;
use crate::clock;
use crate::source::{Closed, SourceError, to_channel};

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The source was asked to stop, or the pipeline has ended, and what can be acknowledged is.
    Stopped,
    /// It broke.
    Broken(ConnectionError),
    /// The source cannot go on.
    Failed(SourceError),
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        Self::Broken(error)
    }
}

impl From<NotMqtt> for End {
    fn from(error: NotMqtt) -> Self {
        Self::Broken(error.into())
    }
}

/// Returns once the pipeline has taken the batch; never where there is none.
async fn taken(sending: &mut Option<Sending>) -> Result<(), Closed> {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<(), Closed>> + Send>>;

/// A connection of `broker` to a server that has accepted us.
pub(super) struct Connection<'a> {
    broker: &'a mut Broker,
    dialled: Dialled,
    window: Window,
    /// What is to be written.
    out: Vec<u8>,
    /// A batch that the pipeline has not taken yet. Nothing is read meanwhile.
    sending: Option<Sending>,
    subscribed: bool,
}

impl<'a> Connection<'a> {
    pub fn new(broker: &'a mut Broker, dialled: Dialled) -> Self {
        Self {
            window: Window::new(broker.config.most_undelivered),
            broker,
            dialled,
            out: Vec::new(),
            sending: None,
            subscribed: false,
        }
    }

    /// Runs until it ends.
    pub async fn serve(mut self, server: &Server) -> End {
        match self.run(server).await {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn run(&mut self, server: &Server) -> Result<std::convert::Infallible, End> {
        self.subscribe()?;
        let patience = self.broker.config.timeout;
        // Half of it, so that a broker that is gone is known within it.
        let beat = self.broker.config.keep_alive / 2;
        let answered_by = Instant::now() + patience;
        let mut ping_at = Instant::now() + beat;
        // Whether a ping is unanswered although we have listened ever since.
        let mut unanswered = false;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            self.take(server)?;
            self.window.acknowledge(|id| self.out.extend(packet::puback(id)));
            self.write(patience).await?;
            let stopping = self.broker.output.is_none();
            if stopping && self.window.is_empty() {
                return Err(self.leave(patience).await);
            }
            let listening = !stopping && self.sending.is_none() && self.window.room() > 0;
            unanswered &= listening;
            tokio::select! {
                biased;
                () = self.broker.stop.asked(), if !stopping => self.stop(),
                settled = self.broker.settlements.recv() => match settled {
                    Some(number) => self.settle(number),
                    // Nothing of ours is in the pipeline any more.
                    None => return Err(self.leave(patience).await),
                },
                sent = taken(&mut self.sending) => {
                    self.sending = None;
                    if sent.is_err() {
                        self.stop();
                    }
                }
                read = self.dialled.stream.read(&mut chunk), if listening => {
                    match read.map_err(ConnectionError::Broken)? {
                        0 => return Err(ConnectionError::Ended.into()),
                        read => self.dialled.frames.feed(&chunk[..read]),
                    }
                    unanswered = false;
                }
                () = sleep_until(ping_at) => {
                    if unanswered {
                        let doing = "asking whether it is there";
                        return Err(ConnectionError::TimedOut { doing, within: beat }.into());
                    }
                    self.out.extend(packet::PINGREQ);
                    unanswered = true;
                    ping_at = Instant::now() + beat;
                }
                () = sleep_until(answered_by), if !self.subscribed && listening => {
                    return Err(ConnectionError::TimedOut { doing: "subscribing", within: patience }.into());
                }
            }
        }
    }

    fn subscribe(&mut self) -> Result<(), End> {
        let config = &self.broker.config;
        let unwanted = match self.dialled.session {
            true => self.broker.session.unwanted(&self.broker.filters),
            false => Vec::new(),
        };
        if !unwanted.is_empty() {
            let unsubscribe = packet::unsubscribe(config.protocol, &unwanted).map_err(ConnectionError::Unsayable)?;
            self.out.extend(unsubscribe);
        }
        let subscribe = packet::subscribe(config.protocol, &self.broker.filters, config.acknowledged);
        self.out.extend(subscribe.map_err(ConnectionError::Unsayable)?);
        Ok(())
    }

    /// Takes the packets that are here, as far as there is room for their messages, and makes one batch of them.
    fn take(&mut self, server: &Server) -> Result<(), End> {
        let Some(output) = self.broker.output.clone().filter(|_| self.sending.is_none()) else {
            return Ok(());
        };
        let now = clock::now();
        let mut readings = Vec::new();
        let mut ids = Vec::new();
        while self.window.room() > ids.len() {
            let Some(frame) = self.dialled.frames.next()? else {
                break;
            };
            let packet = match frame {
                Frame::Packet { first, body } => Packet::read(self.broker.config.protocol, first, body)?,
                Frame::TooLarge { topic, id, bytes } => {
                    self.broker.too_large(&topic, bytes);
                    ids.extend(id);
                    continue;
                }
            };
            match packet {
                Packet::Message(published) => {
                    let message = Message {
                        topic: published.topic(),
                        payload: published.payload(),
                        retained: published.is_retained(),
                    };
                    self.broker.decode(&message, now, &mut readings);
                    ids.extend(published.id());
                }
                Packet::Subscribed(granted) => self.granted(&granted, server)?,
                Packet::Closed(reason) => return Err(ConnectionError::Closed { reason }.into()),
                Packet::Answer => {}
                Packet::Accepted { .. } | Packet::Refused(_) => {
                    return Err(NotMqtt("it answered twice").into());
                }
            }
        }
        self.broker.count();
        let number = self.broker.next_number();
        let receipt = self.receipt(&readings, number, !ids.is_empty());
        self.window.push(number, ids, readings.is_empty());
        if !readings.is_empty() {
            let batch = Batch { readings, receipt };
            self.sending = Some(Box::pin(async move { output.send(batch).await }));
        }
        Ok(())
    }

    /// For a batch of messages that wait to be acknowledged.
    fn receipt(&self, readings: &[Reading], number: u64, waited_for: bool) -> Option<Receipt> {
        let settled = self.broker.settled.as_ref().filter(|_| waited_for)?;
        Some(Receipt::new(readings.len() as u32, number, to_channel(settled.clone())))
    }

    fn granted(&mut self, granted: &[Granted], server: &Server) -> Result<(), End> {
        let asked = self.broker.filters.iter().zip(granted);
        let refused: Vec<_> = asked
            .filter(|(_, granted)| **granted == Granted::Refused)
            .map(|(topic, _)| topic)
            .collect();
        let listed = refused
            .iter()
            .map(|topic| format!("{topic:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        if refused.len() >= granted.len() {
            return Err(ConnectionError::Topics(listed).into());
        }
        let name = &self.broker.name;
        if !refused.is_empty() {
            let remedy = "allow it there, or mend topics";
            warn!(source = name, %server, topics = listed, remedy, "the broker refuses to subscribe us to some topics");
        }
        if self.broker.config.acknowledged && granted.contains(&Granted::AtMostOnce) {
            let lost = "what is under way when the connection ends";
            warn!(source = name, %server, lost, "the broker gives messages at most once");
        }
        let session = self.dialled.session;
        info!(source = name, %server, client_id = self.broker.session.client_id(), session, "connected to the broker");
        self.subscribed = true;
        self.broker.connected();
        self.broker
            .session
            .subscribed(&self.broker.filters)
            .map_err(End::Failed)
    }

    fn settle(&mut self, number: u64) {
        self.window.settle(number);
        while let Ok(number) = self.broker.settlements.try_recv() {
            self.window.settle(number);
        }
    }

    /// Gives the output up, so that the pipeline drains; what it settles meanwhile is still acknowledged.
    fn stop(&mut self) {
        self.sending = None;
        self.broker.output = None;
        self.broker.settled = None;
    }

    async fn write(&mut self, patience: Duration) -> Result<(), ConnectionError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let stream = &mut self.dialled.stream;
        let written = async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => self.out.clear(),
            Ok(Err(error)) => return Err(ConnectionError::Broken(error)),
            Err(_) => {
                return Err(ConnectionError::TimedOut {
                    doing: "acknowledging",
                    within: patience,
                });
            }
        }
        Ok(())
    }

    async fn leave(&mut self, patience: Duration) -> End {
        self.window.acknowledge(|id| self.out.extend(packet::puback(id)));
        self.out.extend(packet::DISCONNECT);
        // Whether or not it hears of it, it gives what is not acknowledged again.
        let _ = self.write(patience).await;
        let _ = self.dialled.stream.shutdown().await;
        End::Stopped
    }
}
