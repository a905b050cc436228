//! Plants all bugs into one copy of the core, which is then compiled once: each function that a bug changes does what
//! that bug's number makes of it, and what it always did for every other number.

use crate::bugs::{Bug, Edit};
use std::collections::BTreeMap;
use std::ops::Range;

/// The source of a file with these bugs in it, by their numbers.
pub fn planted(file: &str, text: &str, bugs: &[(usize, &Bug)]) -> String {
    let mut bodies: BTreeMap<(usize, usize), Vec<(usize, String)>> = BTreeMap::new();
    for (number, bug) in bugs {
        let mut changed: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for edit in bug.edits.iter().filter(|edit| edit.0 == file) {
            let body = body_of(bug.name, text, edit);
            let variant = changed.entry((body.start, body.end)).or_insert_with(|| text[body].to_owned());
            *variant = variant.replacen(edit.1, edit.2, 1);
        }
        for (body, variant) in changed {
            bodies.entry(body).or_default().push((*number, variant));
        }
    }
    let mut planted = text.to_owned();
    for ((start, end), variants) in bodies.into_iter().rev() {
        let variants: String =
            variants.into_iter().map(|(number, body)| format!("{number} => {{\n{body}}}\n")).collect();
        let body = &text[start..end];
        planted.replace_range(start..end, &format!("match crate::planted() {{\n{variants}_ => {{\n{body}}}\n}}\n"));
        // What looks at the number is no constant.
        let line = planted[..start].rfind("fn ").expect("a body has its function in front");
        if planted[..line].ends_with("const ") {
            planted.replace_range(line - "const ".len()..line, "");
        }
    }
    planted
}

/// The body of the function that an edit is in.
fn body_of(name: &str, text: &str, (file, from, _): &Edit) -> Range<usize> {
    let places: Vec<usize> = text.match_indices(from).map(|(at, _)| at).collect();
    let [at] = places[..] else { panic!("{name}: the code has drifted away from this bug: {from:?} in {file}") };
    let body = bodies(text).into_iter().find(|body| body.contains(&at) && at + from.len() <= body.end);
    body.unwrap_or_else(|| panic!("{name}: not in a function: {from:?} in {file}"))
}

/// The lines between the braces of every outermost function, by how rustfmt lays them out.
fn bodies(text: &str) -> Vec<Range<usize>> {
    let mut bodies = Vec::new();
    let mut open: Option<(&str, Option<usize>)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.trim_end();
        let indent = &code[..code.len() - code.trim_start().len()];
        let next = at + line.len();
        open = match open {
            None if is_function(code.trim_start()) => Some((indent, None)),
            other => other,
        };
        open = match open {
            Some((of, Some(start))) if code == format!("{of}}}") => {
                bodies.push(start..at);
                None
            }
            Some((_, None)) if code.ends_with(['}', ';']) => None,
            Some((of, None)) if code.ends_with('{') => Some((of, Some(next))),
            other => other,
        };
        at = next;
    }
    bodies
}

fn is_function(code: &str) -> bool {
    let code = code.strip_prefix("pub").map_or(code, |code| match code.strip_prefix('(') {
        Some(scope) => scope.split_once(')').map_or("", |(_, code)| code),
        None => code,
    });
    let code = code.trim_start();
    code.strip_prefix("const ").unwrap_or(code).starts_with("fn ")
}

#[test]
fn a_function_does_what_the_planted_bug_makes_of_it() {
    const BUG: Bug = Bug { name: "a", edits: &[("f.rs", "x + 1", "x"), ("f.rs", "is_odd(x)", "true")] };
    const OTHER: Bug = Bug { name: "b", edits: &[("f.rs", "x + 1", "x + 2")] };
    let text = "pub const fn add(x: u8) -> u8 {\n    x + 1\n}\n\nfn other() {}\n\nimpl A {\n    fn odd(x: u8)\n    \
                where\n        A: B,\n    {\n        is_odd(x)\n    }\n}\n";
    let planted = planted("f.rs", text, &[(1, &BUG), (2, &OTHER)]);
    let expected = "pub fn add(x: u8) -> u8 {\nmatch crate::planted() {\n1 => {\n    x\n}\n2 => {\n    x + 2\n}\n_ => {\n    \
                    x + 1\n}\n}\n}\n\nfn other() {}\n\nimpl A {\n    fn odd(x: u8)\n    where\n        A: B,\n    {\n\
                    match crate::planted() {\n1 => {\n        true\n}\n_ => {\n        is_odd(x)\n}\n}\n    }\n}\n";
    assert_eq!(planted, expected);
}
