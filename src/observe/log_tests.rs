use super::*;
use std::io::Read as _;
use std::time::Instant;

fn logged(format: Format, level: &str, say: impl FnOnce()) -> String {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let (writer, guard) = queue(writer);
    let filter = filter(level).expect("a level");
    let subscriber = tracing_subscriber::registry().with(lines(format, false, writer).with_filter(filter));
    tracing::subscriber::with_default(subscriber, say);
    drop(guard);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("the lines");
    text
}

fn say() {
    tracing::info!(window = "payments-1", group = "payments", cluster = "orders", member = "orders-0", "paused");
}

#[test]
fn a_human_line_has_a_time_in_utc_the_sentence_and_its_fields() {
    let text = logged(Format::Human, "info", say);
    let (time, rest) = text.split_once(' ').expect("a time");
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{text:?}");
    assert_eq!(rest.trim(), r#"INFO paused window="payments-1" group="payments" cluster="orders" member="orders-0""#);
}

#[test]
fn a_json_line_is_one_object_with_its_fields_at_the_top() {
    let text = logged(Format::Json, "info", say);
    let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one object");
    assert_eq!(line["message"], "paused");
    assert_eq!(line["group"], "payments");
    assert_eq!(line["member"], "orders-0");
    assert_eq!(line["level"], "INFO");
    let time = line["timestamp"].as_str().expect("a time");
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn a_bare_level_is_for_stillpoint_and_libraries_are_heard_from_warn_on() {
    let talk = || {
        tracing::debug!("ours");
        tracing::info!(target: "h2::codec", "frame");
        tracing::warn!(target: "h2::codec", "reset");
    };
    let text = logged(Format::Human, "debug", talk);
    assert!(text.contains("ours") && text.contains("reset") && !text.contains("frame"), "{text}");
    let text = logged(Format::Human, "h2=info,stillpoint=error", talk);
    assert!(!text.contains("ours") && text.contains("frame"), "{text}");
}

#[test]
fn a_word_that_is_no_level_is_refused_with_those_that_are() {
    for wrong in ["loud", "", "stillpoint=loud"] {
        let error = filter(wrong).expect_err(wrong);
        assert!(error.to_string().contains("use error, warn, info, debug, trace"), "{error}");
    }
}

#[test]
fn a_full_pipe_drops_lines_and_blocks_neither_the_daemon_nor_its_end() {
    // Nobody reads: the kernel's 64 KiB fill, the writing thread hangs for good, then the queue fills.
    let (unread, writer) = std::io::pipe().expect("a pipe");
    let (writer, guard) = queue(writer);
    let subscriber = tracing_subscriber::registry().with(lines(Format::Human, false, writer));
    let begun = Instant::now();
    tracing::subscriber::with_default(subscriber, || {
        for line in 0..20_000 {
            tracing::info!(line, "{}", "x".repeat(200));
        }
    });
    let logging = begun.elapsed();
    assert!(guard.dropped_lines() > 5_000, "{} dropped", guard.dropped_lines());
    assert_eq!(guard.dropped_counter().dropped_lines() as u64, guard.dropped_lines());
    drop(guard);
    let all = begun.elapsed();
    assert!(logging < Duration::from_secs(5), "logging took {logging:?}");
    assert!(all - logging < FLUSH_DEADLINE + Duration::from_secs(1), "the end took {:?}", all - logging);
    drop(unread);
}
