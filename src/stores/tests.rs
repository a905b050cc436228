//! What each of AWS's errors comes to, in both protocols.

use super::replay::{aws, json_error, place, xml_error};
use super::{Store, open};
use crate::aws::FaultKind::{self, Denied, Exists, InUse, Invalid, Limit, Lost, NotFound, Throttled};
use crate::config;
use crate::domain::{Code, Interval};
use crate::stores::Capture;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

const CODES: &[(FaultKind, &[&str])] = &[
    (
        Throttled,
        &[
            "ThrottlingException",
            "Throttling",
            "ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "ConcurrentUpdateException",
        ],
    ),
    (
        Limit,
        &["LimitExceededException", "InstanceQuotaExceeded", "DBClusterQuotaExceededFault", "StorageQuotaExceeded"],
    ),
    (
        Denied,
        &[
            "AccessDeniedException",
            "AccessDenied",
            "UnauthorizedOperation",
            "NotAuthorized",
            "OptInRequired",
            "ExpiredTokenException",
            "ExpiredToken",
            "RequestExpired",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "KMSAccessDeniedException",
            "IDPRejectedClaim",
        ],
    ),
    (
        NotFound,
        &[
            "ResourceNotFoundException",
            "TableNotFoundException",
            "SourceTableNotFoundException",
            "BackupNotFoundException",
            "ObjectNotFoundException",
            "DBInstanceNotFound",
            "DBInstanceNotFoundFault",
            "DBClusterNotFoundFault",
            "DBInstanceAutomatedBackupNotFound",
            "DBClusterAutomatedBackupNotFoundFault",
        ],
    ),
    (Exists, &["TableAlreadyExistsException", "DBInstanceAlreadyExists", "DBClusterAlreadyExistsFault"]),
    (
        InUse,
        &[
            "ResourceInUseException",
            "TableInUseException",
            "BackupInUseException",
            "ContinuousBackupsUnavailableException",
            "InvalidDBInstanceState",
            "InvalidDBClusterStateFault",
        ],
    ),
    (
        Lost,
        &[
            "InternalServerError",
            "InternalFailure",
            "InternalError",
            "InternalServiceException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "ServerException",
        ],
    ),
    (
        Invalid,
        &["ValidationException", "InvalidRestoreTimeException", "PointInTimeRecoveryUnavailableException", "Anything"],
    ),
];

fn codes() -> impl Iterator<Item = (FaultKind, &'static str)> {
    CODES.iter().flat_map(|(kind, codes)| codes.iter().map(|code| (*kind, *code)))
}

fn dynamodb(code: &'static str) -> Arc<dyn Store> {
    let kind = config::StoreKind::Dynamodb(super::dynamodb::tests::config(&["t.*"], &[]));
    let store = config::Store { name: "s".to_owned(), preflight: config::Preflight::Refuse, kind };
    open(&store, &aws(SignedDuration::ZERO, move |_, _| json_error(code, "words")))
}

fn databases(code: &'static str) -> [Arc<dyn Store>; 2] {
    let kinds = [
        config::StoreKind::Rds { aws: place(), instance: "d".to_owned() },
        config::StoreKind::Aurora { aws: place(), cluster: "d".to_owned() },
    ];
    kinds.map(|kind| {
        let store = config::Store { name: "s".to_owned(), preflight: config::Preflight::Refuse, kind };
        open(&store, &aws(SignedDuration::ZERO, move |_, _| xml_error(code, "words")))
    })
}

fn quiet() -> Interval {
    Interval { start: Timestamp::UNIX_EPOCH, end: Timestamp::UNIX_EPOCH }
}

fn told(code: &str, sentence: &str) {
    assert!(sentence.contains(code) && sentence.contains("words"), "{sentence}");
    let right = ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"].contains(&code);
    assert_eq!(sentence.contains("`stillpoint iam GROUP`"), right, "{sentence}");
}

async fn dynamodb_meets(kind: FaultKind, code: &'static str) {
    let (store, names) = (dynamodb(code), ["t.a".to_owned()]);
    let (found, after, seen) =
        tokio::join!(store.find(), async { store.after(&Capture::default(), quiet()).await }, store.look(&names));
    for reason in [found.unwrap_err(), after.unwrap_err()] {
        assert_eq!(reason.code, Code::StoreUnreachable);
        told(code, &reason.sentence);
    }
    match seen.unwrap().remove("t.a").unwrap() {
        Ok(seen) => assert_eq!((kind, seen.identity), (NotFound, None), "{code}"),
        Err(fault) => assert_eq!((fault.kind, fault.code.as_deref()), (kind, Some(code))),
    }
}

async fn database_meets(kind: FaultKind, code: &'static str, store: Arc<dyn Store>) {
    let names = ["d".to_owned()];
    let before = Capture::default();
    let (found, after, seen) = tokio::join!(store.find(), store.after(&before, quiet()), store.look(&names));
    let reason = match found {
        Ok(found) => {
            assert_eq!(kind, NotFound, "{code}");
            found.against.into_iter().next().unwrap()
        }
        Err(reason) => reason,
    };
    if kind == NotFound {
        assert_eq!(reason.code, Code::StoreUnready);
        assert!(after.unwrap().gone.is_empty(), "it was not there before");
    } else {
        assert_eq!(reason.code, Code::StoreUnreachable);
        told(code, &reason.sentence);
        told(code, &after.unwrap_err().sentence);
    }
    match seen.unwrap().remove("d").unwrap() {
        Ok(seen) => assert_eq!((kind, seen.identity), (NotFound, None), "{code}"),
        Err(fault) => assert_eq!((fault.kind, fault.code.as_deref()), (kind, Some(code))),
    }
}

#[tokio::test]
async fn every_error_in_dynamodbs_protocol_is_told_for_what_it_is() {
    futures_util::future::join_all(codes().map(|(kind, code)| dynamodb_meets(kind, code))).await;
}

#[tokio::test]
async fn every_error_in_rdss_protocol_is_told_for_what_it_is() {
    let met = codes().flat_map(|(kind, code)| databases(code).map(|store| database_meets(kind, code, store)));
    futures_util::future::join_all(met).await;
}

#[tokio::test]
async fn a_limit_of_the_rate_is_throttling() {
    let answer = |_: &str, _: &str| json_error("LimitExceededException", "too high a rate of requests");
    let kind = config::StoreKind::Dynamodb(super::dynamodb::tests::config(&["t.*"], &[]));
    let store = config::Store { name: "s".to_owned(), preflight: config::Preflight::Refuse, kind };
    let seen = open(&store, &aws(SignedDuration::ZERO, answer)).look(&["t.a".to_owned()]).await.unwrap();
    assert_eq!(seen["t.a"].clone().unwrap_err().kind, Throttled);
}

#[tokio::test]
async fn an_instance_that_was_made_anew_under_its_name_is_told() {
    let answer = |resource: &'static str| {
        move |operation: &str, _: &str| {
            let body = match operation {
                "DescribeDBInstances" => format!(
                    "<DBInstances><DBInstance><DBInstanceIdentifier>d</DBInstanceIdentifier><DBInstanceStatus>available\
                     </DBInstanceStatus><BackupRetentionPeriod>7</BackupRetentionPeriod><DbiResourceId>{resource}\
                     </DbiResourceId><LatestRestorableTime>2026-01-02T00:00:00Z</LatestRestorableTime></DBInstance>\
                     </DBInstances>"
                ),
                _ => "<DBInstanceAutomatedBackups><DBInstanceAutomatedBackup><RestoreWindow><EarliestTime>\
                      2026-01-01T00:00:00Z</EarliestTime></RestoreWindow></DBInstanceAutomatedBackup>\
                      </DBInstanceAutomatedBackups>"
                    .to_owned(),
            };
            (200, format!("<{operation}Response><{operation}Result>{body}</{operation}Result></{operation}Response>"))
        }
    };
    let instance = |resource| {
        let kind = config::StoreKind::Rds { aws: place(), instance: "d".to_owned() };
        let store = config::Store { name: "s".to_owned(), preflight: config::Preflight::Refuse, kind };
        open(&store, &aws(SignedDuration::ZERO, answer(resource)))
    };
    let found = instance("db-1").find().await.unwrap();
    assert_eq!((found.against, found.capture.parts["d"].identity.as_str()), (Vec::new(), "db-1"));
    let same = instance("db-1").after(&found.capture, quiet()).await.unwrap();
    assert_eq!((same.changed, same.gone), (Vec::new(), Vec::new()));
    let other = instance("db-2").after(&found.capture, quiet()).await.unwrap();
    assert_eq!(other.changed, ["the instance d was deleted since the preflight, and another has its name"]);
    assert_eq!(other.gone, ["d"]);
}
