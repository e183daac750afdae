# The daemon in a container: `docker build -t temp-ingest .`, then
# `docker run -p 9184:9184 -v temp-ingest:/var/lib/temp-ingest temp-ingest`. Its default is the embedded pipeline; mount a
# configuration on /etc/temp-ingest/config.toml for another.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin temp-ingest && install -d /state

FROM debian:bookworm-slim
# What the stream's certificate is checked against; the slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /source/target/release/temp-ingest /usr/bin/
COPY --from=build --chown=65532:65532 /state /var/lib/temp-ingest
USER 65532:65532
# On 127.0.0.1 nobody outside of the container could scrape it.
ENV STATE_DIRECTORY=/var/lib/temp-ingest TEMP_INGEST__DASHBOARD__LISTEN=0.0.0.0:9184
VOLUME /var/lib/temp-ingest
EXPOSE 9184
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/temp-ingest"]
CMD ["run"]
