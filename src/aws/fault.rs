//! What an error of AWS means for whoever asked.

use super::kind::FaultKind;
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

impl Fault {
    /// None for an answer that says that there is nothing of that name.
    ///
    /// # Errors
    /// Any other fault.
    pub fn found<T>(answer: Result<T, Self>) -> Result<Option<T>, Self> {
        match answer {
            Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

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
