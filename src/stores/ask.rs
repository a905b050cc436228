//! Asking about many things, and lists that come in pages.

use crate::aws::{Fault, FaultKind};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many are asked about at once; the account's rates pace them.
const AT_ONCE: usize = 32;
/// So many without an answer, and the rest is not asked: nobody would answer.
const LOST: usize = 5;
/// No list of ours is that long; one that goes on is a fault.
const PAGES: usize = 1_000;

/// Asks about each name. When several had no answer, the rest is not asked.
pub async fn each<T, F>(
    names: impl IntoIterator<Item = String>,
    ask: impl Fn(String) -> F,
) -> BTreeMap<String, Result<T, Fault>>
where
    F: Future<Output = Result<T, Fault>>,
{
    let lost = AtomicUsize::new(0);
    let one = |name: String| {
        let given_up = lost.load(Ordering::Relaxed) >= LOST;
        let (lost, answer) = (&lost, (!given_up).then(|| ask(name.clone())));
        async move {
            let Some(answer) = answer else {
                return (name, Err(Fault::lost(format!("not asked, since {LOST} others had no answer"))));
            };
            let answer = answer.await;
            if answer.as_ref().is_err_and(|fault| fault.kind == FaultKind::Lost) {
                lost.fetch_add(1, Ordering::Relaxed);
            }
            (name, answer)
        }
    };
    futures_util::stream::iter(names).map(one).buffer_unordered(AT_ONCE).collect().await
}

/// Everything of a list: `page` answers the token before it with some of it and the token of the next.
pub async fn pages<T, K, F>(operation: &str, page: impl Fn(Option<K>) -> F) -> Result<Vec<T>, Fault>
where
    K: PartialEq + Clone,
    F: Future<Output = Result<(Vec<T>, Option<K>), Fault>>,
{
    let (mut all, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let (some, next) = page(token.clone()).await?;
        all.extend(some);
        if next.is_none() {
            return Ok(all);
        }
        if next == token {
            return Err(Fault::lost(format!("{operation}: the list does not go on")));
        }
        token = next;
    }
    Err(Fault::lost(format!("{operation}: more than {PAGES} pages")))
}
