//! Which stream, in whose name, and over which endpoint.

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::config::SharedCredentialsProvider;
use aws_sdk_kinesis::operation::describe_stream_summary::builders::DescribeStreamSummaryFluentBuilder;
use aws_sdk_kinesis::operation::put_records::builders::PutRecordsFluentBuilder;
use values::aws_name::region_of;

/// What a role session may be called, besides its least length of two.
const MAX_SESSION_NAME: usize = 64;

/// Which stream, and how it is reached. Credentials and endpoint come from where every AWS SDK takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream's name or ARN.
    pub stream: String,
    /// The region, where it is neither the environment's nor the ARN's.
    pub region: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Endpoints validated by FIPS 140; `None` as the environment or the AWS profile says.
    pub fips: Option<bool>,
    /// Endpoints that have IPv6 addresses too; `None` as the environment or the AWS profile says.
    pub dual_stack: Option<bool>,
    /// The role in whose name records are put, where they are not put in our own.
    pub role: Option<Role>,
}

/// A role, as of another account, assumed with our own credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy asks for, where it does.
    pub external_id: Option<String>,
}

impl Target {
    /// The SDK's settings for the target, in the name of the role where there is one; retries off. Credentials are
    /// read when they are first needed, and again before they expire.
    pub async fn sdk_config(&self) -> SdkConfig {
        let own = self.own_config().await;
        match &self.role {
            Some(role) => role.assume(own).await,
            None => own,
        }
    }

    /// The same in our own name.
    pub async fn own_config(&self) -> SdkConfig {
        let timeout = TimeoutConfig::builder()
            .operation_timeout(self.timeout)
            .connect_timeout(self.timeout / 2)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeout);
        if let Some(region) = self.region.as_deref().or_else(|| region_of(&self.stream)) {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(fips) = self.fips {
            loader = loader.use_fips(fips);
        }
        if let Some(dual_stack) = self.dual_stack {
            loader = loader.use_dual_stack(dual_stack);
        }
        loader.load().await
    }

    /// The stream's ARN, where it was given by one.
    pub fn arn(&self) -> Option<&str> {
        self.stream.starts_with("arn:").then_some(&*self.stream)
    }

    /// Said before why credentials could not be had.
    pub fn credentials_wanted(&self) -> String {
        match &self.role {
            Some(role) => format!("assuming the role {} (kinesis.role_arn)", role.arn),
            None => "finding credentials".to_owned(),
        }
    }
}

/// A request about a stream.
pub trait ToStream {
    /// About this one, by the ARN or the name it was given by.
    fn to(self, target: &Target) -> Self;
}

macro_rules! to_stream {
    ($($request:ty),*) => {
        $(impl ToStream for $request {
            fn to(self, target: &Target) -> Self {
                match target.arn() {
                    Some(arn) => self.stream_arn(arn),
                    None => self.stream_name(&target.stream),
                }
            }
        })*
    };
}

to_stream!(PutRecordsFluentBuilder, DescribeStreamSummaryFluentBuilder);

impl Role {
    async fn assume(&self, own: SdkConfig) -> SdkConfig {
        let mut role = AssumeRoleProvider::builder(&self.arn)
            .session_name(session_name())
            .configure(&own);
        if let Some(id) = &self.external_id {
            role = role.external_id(id);
        }
        let provider = SharedCredentialsProvider::new(role.build().await);
        own.into_builder().credentials_provider(provider).build()
    }
}

/// Which kind of endpoint settings ask for, where it is not the usual one.
pub fn special_endpoint(sdk: &SdkConfig) -> Option<&'static str> {
    match (sdk.use_fips() == Some(true), sdk.use_dual_stack() == Some(true)) {
        (true, true) => Some("FIPS dual-stack"),
        (true, false) => Some("FIPS"),
        (false, true) => Some("dual-stack"),
        (false, false) => None,
    }
}

/// What to do where an endpoint of this kind cannot be reached: not every region has one.
pub fn no_such_endpoint(special: &str, sdk: &SdkConfig) -> String {
    let region = sdk.region().map_or("no region", |region| region.as_ref());
    format!(
        "is there a {special} endpoint of Kinesis in {region}? Where there is none, unset kinesis.fips and \
         kinesis.dual_stack (or AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT), or use a stream of another region"
    )
}

/// True where a request was not sent because there were no credentials to sign it with.
pub fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.any(|cause| cause.is::<CredentialsError>() || cause.to_string().contains("identity resolver timed out"))
}

/// Tells the role's owner which machine it is: the host's name, which is that of the instance in AWS.
fn session_name() -> String {
    let host = rustix::system::uname();
    let name = format!("temp-ingest-{}", host.nodename().to_string_lossy());
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    name.chars()
        .filter(|letter| allowed(*letter))
        .take(MAX_SESSION_NAME)
        .collect()
}
