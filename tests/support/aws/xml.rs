//! As much of XML as patching moto's answers takes: elements without attributes, never one inside its own kind.

/// The text of the first element of that name.
pub fn value_of<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let length = xml[start..].find(&format!("</{name}>"))?;
    Some(&xml[start..start + length])
}

/// Every element of that name with its inside changed.
pub fn each(xml: &str, name: &str, mut change: impl FnMut(&str) -> String) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut result = String::with_capacity(xml.len());
    let mut rest = xml;
    while let Some((before, inside, after)) = parted(rest, &open, &close) {
        result.push_str(before);
        result.push_str(&open);
        result.push_str(&change(inside));
        result.push_str(&close);
        rest = after;
    }
    result.push_str(rest);
    result
}

/// The inside of an element with a child's text set, or the child taken out.
pub fn with(inside: &str, name: &str, value: Option<&str>) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, after) = match parted(inside, &open, &close) {
        Some((before, _, after)) => (before, after),
        None => (inside, ""),
    };
    match value {
        Some(value) => format!("{before}{open}{value}{close}{after}"),
        None => format!("{before}{after}"),
    }
}

fn parted<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let start = text.find(open)?;
    let inside = &text[start + open.len()..];
    let end = inside.find(close)?;
    Some((&text[..start], &inside[..end], &inside[end + close.len()..]))
}
