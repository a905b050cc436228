//! What an error of AWS means for whoever asked.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Fault {
    pub kind: FaultKind,
    /// AWS's own code, such as `TableNotFoundException`; none when AWS did not answer.
    pub code: Option<String>,
    pub sentence: String,
}

/// What kinds of errors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Too many calls: nothing was done, ask again later.
    Throttled,
    /// A limit of the account is reached: nothing was done, ask again much later.
    Limit,
    /// The right is missing, or the credentials are wrong or have run out: nothing was done.
    Denied,
    /// What was named is not there.
    NotFound,
    /// The name is taken.
    Exists,
    /// What was named is busy: nothing was done, ask again later.
    InUse,
    /// The request makes no sense, now or ever: nothing was done.
    Invalid,
    /// No answer, or one that tells nothing: it may have been done.
    Lost,
}

impl FaultKind {
    /// The label value of `stillpoint_aws_calls_total`.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Lost => "lost",
            Self::Limit | Self::NotFound | Self::Exists | Self::InUse | Self::Invalid => "other",
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Throttled | Self::Lost)
    }
}

impl Fault {
    /// Nothing is known of the call.
    #[must_use]
    pub fn lost(sentence: impl Into<String>) -> Self {
        Self { kind: FaultKind::Lost, code: None, sentence: sentence.into() }
    }

    pub(super) fn of<E, R>(operation: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        if let SdkError::ServiceError(answer) = error {
            let meta = answer.err().meta();
            let code = meta.code().unwrap_or("no code").to_owned();
            let message = meta.message().unwrap_or("without a message").trim_end_matches('.').to_owned();
            let kind = kind(&code, &message);
            return Self { kind, sentence: format!("{operation}: {code}: {message}"), code: Some(code) };
        }
        let words = chain(error);
        let kind = match error {
            SdkError::ConstructionFailure(_) => FaultKind::Invalid,
            // Credentials that cannot be had end as a dispatch that failed; nothing has left then.
            SdkError::DispatchFailure(failure) if failure.is_other() && words.contains("credentials") => {
                FaultKind::Denied
            }
            _ => FaultKind::Lost,
        };
        Self { kind, code: None, sentence: format!("{operation}: {words}") }
    }
}

/// Codes of DynamoDB, RDS, STS, EKS and Application Auto Scaling ("Common error types" of each API reference, and the
/// errors of each call). The SDKs leave those that a call does not list unhandled, so the code is what is read.
fn kind(code: &str, message: &str) -> FaultKind {
    match code {
        "LimitExceededException" if message.contains("rate") => FaultKind::Throttled,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "ConcurrentUpdateException" => FaultKind::Throttled,
        "LimitExceededException" | "InstanceQuotaExceeded" | "DBClusterQuotaExceededFault" | "StorageQuotaExceeded" => {
            FaultKind::Limit
        }
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OptInRequired"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "KMSAccessDeniedException"
        | "IDPRejectedClaim" => FaultKind::Denied,
        "ResourceNotFoundException"
        | "TableNotFoundException"
        | "SourceTableNotFoundException"
        | "BackupNotFoundException"
        | "ObjectNotFoundException"
        | "DBInstanceNotFound"
        | "DBInstanceNotFoundFault"
        | "DBClusterNotFoundFault"
        | "DBInstanceAutomatedBackupNotFound"
        | "DBClusterAutomatedBackupNotFoundFault" => FaultKind::NotFound,
        "TableAlreadyExistsException" | "DBInstanceAlreadyExists" | "DBClusterAlreadyExistsFault" => FaultKind::Exists,
        "ResourceInUseException"
        | "TableInUseException"
        | "BackupInUseException"
        | "ContinuousBackupsUnavailableException"
        | "InvalidDBInstanceState"
        | "InvalidDBClusterStateFault" => FaultKind::InUse,
        "InternalServerError"
        | "InternalFailure"
        | "InternalError"
        | "InternalServiceException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ServerException"
        | "no code" => FaultKind::Lost,
        _ => FaultKind::Invalid,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Some are written over several lines.
        let words = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    text
}
