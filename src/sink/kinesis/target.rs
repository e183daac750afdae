//! The stream, the identity and the endpoint that records are sent with.

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

/// The longest name of a role session; the shortest has two characters.
const MAX_SESSION_NAME: usize = 64;

/// A stream and how it is reached. Credentials and endpoint come from the AWS SDK's usual sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream's name or ARN.
    pub stream: String,
    /// The region, if neither the environment nor the ARN gives it.
    pub region: Option<String>,
    /// The timeout of one request.
    pub timeout: Duration,
    /// Whether to use FIPS 140 endpoints; `None` follows the environment or the AWS profile.
    pub fips: Option<bool>,
    /// Whether to use endpoints that also have IPv6 addresses; `None` follows the environment or the AWS profile.
    pub dual_stack: Option<bool>,
    /// The role to assume; `None` uses the daemon's own identity.
    pub role: Option<Role>,
}

/// A role, such as one of another account, assumed with the daemon's own credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy requires, if any.
    pub external_id: Option<String>,
}

impl Target {
    /// Returns the SDK configuration for the target, under the role if there is one; retries are off. Credentials are
    /// read when first needed, and again before they expire.
    pub async fn sdk_config(&self) -> SdkConfig {
        let own = self.own_config().await;
        match &self.role {
            Some(role) => role.assume(own).await,
            None => own,
        }
    }

    /// Returns the same under the daemon's own identity.
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

    /// Returns the stream's ARN, if it was given as one.
    pub fn arn(&self) -> Option<&str> {
        self.stream.starts_with("arn:").then_some(&*self.stream)
    }

    /// What was being done when obtaining credentials failed.
    pub fn credentials_wanted(&self) -> String {
        match &self.role {
            Some(role) => format!("assuming the role {} (kinesis.role_arn)", role.arn),
            None => "finding credentials".to_owned(),
        }
    }
}

/// A request that names a stream.
pub trait ToStream {
    /// Names the target's stream, by ARN or name as configured.
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

/// Returns the special kind of endpoint that the settings ask for, if any.
pub fn special_endpoint(sdk: &SdkConfig) -> Option<&'static str> {
    match (sdk.use_fips() == Some(true), sdk.use_dual_stack() == Some(true)) {
        (true, true) => Some("FIPS dual-stack"),
        (true, false) => Some("FIPS"),
        (false, true) => Some("dual-stack"),
        (false, false) => None,
    }
}

/// What to do if a special endpoint cannot be reached: not every region has one.
pub fn no_such_endpoint(special: &str, sdk: &SdkConfig) -> String {
    let region = sdk.region().map_or("no region", |region| region.as_ref());
    format!(
        "is there a {special} endpoint of Kinesis in {region}? Where there is none, unset kinesis.fips and \
         kinesis.dual_stack (or AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT), or use a stream of another region"
    )
}

/// True if a request was not sent because there were no credentials to sign it with.
pub fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.any(|cause| cause.is::<CredentialsError>() || cause.to_string().contains("identity resolver timed out"))
}

/// Identifies the machine to the role's owner: the host's name, which in AWS is that of the instance.
fn session_name() -> String {
    let host = rustix::system::uname();
    let name = format!("temp-ingest-{}", host.nodename().to_string_lossy());
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    name.chars()
        .filter(|letter| allowed(*letter))
        .take(MAX_SESSION_NAME)
        .collect()
}
