//! What is told: a CloudEvent, as JSON in structured mode. Pure.

use crate::domain::Notice;
use jiff::Timestamp;
use serde::Serialize;

/// The media type of a CloudEvent in structured mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Something that happened, as far as others are told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    pub notice: Notice,
    pub group: String,
    pub window: String,
    /// Of a restore point's way: in which store.
    pub store: Option<String>,
    pub at: Timestamp,
    pub data: serde_json::Value,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a serde_json::Value,
}

impl Happening {
    /// The same whenever the same is told, so that receivers know what they have: window, notice and store. What can
    /// happen more than once, a failure after another try, has its second as well. Without a full stop, which the
    /// signed text is joined by.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = format!("{}/{}", self.window, self.notice.name());
        if let Some(store) = &self.store {
            id.push_str(&format!("/{store}"));
        }
        if self.notice == Notice::PointFailed {
            id.push_str(&format!("/{}", self.at.as_second()));
        }
        id.replace('.', "-")
    }

    /// The event as it is sent; `identity` is that of the catalog.
    #[must_use]
    pub fn cloud_event(&self, identity: &str) -> String {
        let event = CloudEvent {
            specversion: "1.0",
            id: &self.id(),
            source: format!("/stillpoint/{identity}/groups/{}", self.group),
            r#type: format!("io.stillpoint.{}", self.notice.name()),
            subject: &self.window,
            time: self.at,
            datacontenttype: "application/json",
            data: &self.data,
        };
        // Text, instants and JSON: nothing of it can fail to be written.
        serde_json::to_string(&event).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(notice: Notice, store: Option<&str>) -> Happening {
        Happening {
            notice,
            group: "payments".into(),
            window: "payments-20261122T030000.002Z".into(),
            store: store.map(str::to_owned),
            at: "2026-11-22T03:00:12.5Z".parse().unwrap(),
            data: serde_json::json!({"verdict": "consistent"}),
        }
    }

    #[test]
    fn an_event_has_every_attribute_that_receivers_sort_by() {
        let event: serde_json::Value =
            serde_json::from_str(&happening(Notice::WindowConsistent, None).cloud_event("c0ffee")).unwrap();
        let expected = serde_json::json!({
            "specversion": "1.0",
            "id": "payments-20261122T030000-002Z/window-consistent",
            "source": "/stillpoint/c0ffee/groups/payments",
            "type": "io.stillpoint.window.consistent",
            "subject": "payments-20261122T030000.002Z",
            "time": "2026-11-22T03:00:12.5Z",
            "datacontenttype": "application/json",
            "data": {"verdict": "consistent"},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn an_id_tells_window_notice_and_store_apart_and_holds_no_full_stop() {
        let mut ids = std::collections::BTreeSet::new();
        for notice in Notice::ALL {
            for store in [None, Some("orders"), Some("billing")] {
                let id = happening(*notice, store).id();
                assert!(!id.contains('.'), "{id}");
                assert!(ids.insert(id));
            }
        }
        let mut later = happening(Notice::PointFailed, Some("orders"));
        later.at = "2026-11-22T05:00:00Z".parse().unwrap();
        assert!(ids.insert(later.id()), "a second failure is another event");
    }
}
