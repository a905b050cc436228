//! Ways to break a PromQL expression, one at a time: what a slip of the pen, or a wrong idea, would leave behind.
//!
//! No parser of PromQL: words, brackets and the precedence of the set operators are enough to take an expression apart.

use std::ops::Range;

/// One broken expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What was done to it.
    pub what: String,
    pub expression: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Duration,
    Text,
    Operator,
    Open,
    Close,
    Comma,
}

struct Token<'a> {
    kind: Kind,
    text: &'a str,
    at: Range<usize>,
    /// Index of the bracket that it stands in; none: in none.
    inside: Option<usize>,
}

const COMPARISONS: &[(&str, &str)] = &[("==", "!="), ("!=", "=="), (">=", "<"), ("<=", ">"), (">", "<="), ("<", ">=")];
const LISTS: &[&str] = &["without", "by", "on", "ignoring", "group_left", "group_right"];
const SETS: &[&str] = &["and", "or", "unless"];
const SWAPS: &[(&str, &str)] = &[
    ("min", "max"),
    ("max", "min"),
    ("min_over_time", "max_over_time"),
    ("clamp_max", "clamp_min"),
    ("and", "unless"),
    ("unless", "and"),
];

/// The expression on one line, with one space between words.
pub fn normal(expression: &str) -> String {
    expression.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every mutant of the expression, none of them equal to it or to another.
pub fn mutants(expression: &str) -> Vec<Mutant> {
    let source = normal(expression);
    let tokens = tokens(&source);
    let mut found = Found { source: &source, mutants: Vec::new() };
    for (index, token) in tokens.iter().enumerate() {
        found.token(&tokens, index, token);
    }
    let opens = tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Open && token.text == "(");
    let levels = std::iter::once(None).chain(opens.map(|(index, _)| Some(index)));
    for level in levels.filter(|level| !level.is_some_and(|open| is_list(&tokens, open))) {
        for part in parts(&tokens, level) {
            found.sets(&tokens, &part);
        }
    }
    let mut mutants: Vec<Mutant> = Vec::new();
    for mutant in found.mutants {
        if mutant.expression != source && mutants.iter().all(|other| other.expression != mutant.expression) {
            mutants.push(mutant);
        }
    }
    mutants
}

struct Found<'a> {
    source: &'a str,
    mutants: Vec<Mutant>,
}

impl Found<'_> {
    fn edit(&mut self, what: &str, at: &Range<usize>, with: &str) {
        let expression = normal(&format!("{} {with} {}", &self.source[..at.start], &self.source[at.end..]));
        // What was glued together stays so: only names and brackets care, and Prometheus does not.
        let before: String = self.source[..at.start].chars().rev().take(30).collect();
        let before: String = before.chars().rev().collect();
        self.mutants.push(Mutant { what: format!("{what} after “…{before}”"), expression });
    }

    fn token(&mut self, tokens: &[Token<'_>], index: usize, token: &Token<'_>) {
        let in_braces = token.inside.is_some_and(|open| tokens[open].text == "{");
        match token.kind {
            Kind::Operator if in_braces => self.matcher(tokens, index),
            Kind::Operator => {
                if let Some((_, negated)) = COMPARISONS.iter().find(|(known, _)| *known == token.text) {
                    self.edit(&format!("{negated} for {}", token.text), &token.at, negated);
                    let end = operand_end(tokens, index);
                    self.edit(&format!("without {}", &self.source[token.at.start..end]), &(token.at.start..end), "");
                }
            }
            Kind::Number => self.number(token),
            Kind::Duration => self.duration(tokens, index),
            Kind::Word => {
                if let Some((_, other)) = SWAPS.iter().find(|(known, _)| *known == token.text) {
                    self.edit(&format!("{other} for {}", token.text), &token.at, other);
                }
                if token.inside.is_some_and(|open| is_list(tokens, open)) {
                    self.listed(tokens, index);
                }
            }
            Kind::Text | Kind::Open | Kind::Close | Kind::Comma => {}
        }
    }

    fn number(&mut self, token: &Token<'_>) {
        let number: f64 = token.text.parse().expect("a number");
        let others = if token.text == "0" {
            ["1".to_owned(), "-1".to_owned()]
        } else {
            [number * 2.0, number / 2.0].map(|other| other.to_string())
        };
        for other in others {
            self.edit(&format!("{other} for {}", token.text), &token.at, &other);
        }
    }

    /// Twice as long and half as long. A longer memory of a last value is no fault.
    fn duration(&mut self, tokens: &[Token<'_>], index: usize) {
        let token = &tokens[index];
        let seconds = seconds(token.text);
        let is_offset = tokens[index - 1].text == "offset";
        let remembers = !is_offset && remembering(tokens, index);
        if !remembers {
            self.edit(&format!("{}s for {}", seconds * 2, token.text), &token.at, &format!("{}s", seconds * 2));
        }
        self.edit(&format!("{}s for {}", seconds / 2, token.text), &token.at, &format!("{}s", seconds / 2));
        if is_offset {
            self.edit(&format!("without offset {}", token.text), &(tokens[index - 1].at.start..token.at.end), "");
        }
    }

    /// `index` is the operator in `label="value"`.
    fn matcher(&mut self, tokens: &[Token<'_>], index: usize) {
        let (label, value) = (&tokens[index - 1], &tokens[index + 1]);
        let negated = match tokens[index].text {
            "=" => "!=",
            "!=" => "=",
            "=~" => "!~",
            _ => "=~",
        };
        self.edit(&format!("{negated} for {}", tokens[index].text), &tokens[index].at, negated);
        let comma = tokens.get(index + 2).filter(|next| next.kind == Kind::Comma);
        let end = comma.map_or(value.at.end, |comma| comma.at.end);
        self.edit(&format!("without {}{}{}", label.text, tokens[index].text, value.text), &(label.at.start..end), "");
        let words: Vec<&str> = value.text.trim_matches('"').split('|').collect();
        for word in words.iter().filter(|_| words.len() > 1) {
            let rest: Vec<&str> = words.iter().filter(|other| *other != word).copied().collect();
            self.edit(&format!("without {word} in {}", value.text), &value.at, &format!("\"{}\"", rest.join("|")));
        }
    }

    /// A label in a list.
    fn listed(&mut self, tokens: &[Token<'_>], index: usize) {
        let token = &tokens[index];
        let after = tokens.get(index + 1).filter(|next| next.kind == Kind::Comma);
        let before = tokens.get(index - 1).filter(|previous| previous.kind == Kind::Comma);
        let at = match (after, before) {
            (Some(comma), _) => token.at.start..comma.at.end,
            (None, Some(comma)) => comma.at.start..token.at.end,
            (None, None) => token.at.clone(),
        };
        self.edit(&format!("without the label {}", token.text), &at, "");
    }

    /// Arms of `or`, and what `and` and `unless` add to each, within one part of one bracket.
    fn sets(&mut self, tokens: &[Token<'_>], part: &[usize]) {
        let arms = split(tokens, part, &["or"]);
        for arm in arms.iter().filter(|_| arms.len() > 1) {
            let kept: Vec<&str> =
                arms.iter().filter(|other| *other != arm).map(|other| self.text(tokens, other)).collect();
            let whole = tokens[part[0]].at.start..tokens[part[part.len() - 1]].at.end;
            self.edit(&format!("without the arm “{}”", self.text(tokens, arm)), &whole, &kept.join(" or "));
        }
        for arm in &arms {
            let conditions = split(tokens, arm, &["and", "unless"]);
            for (number, condition) in conditions.iter().enumerate().skip(1) {
                let operator = &tokens[condition[0] - 1];
                let end = tokens[condition[condition.len() - 1]].at.end;
                let what = self.source[operator.at.start..end].to_owned();
                self.edit(&format!("without “{what}”"), &(operator.at.start..end), "");
                if operator.text == "and" && number == 1 {
                    let rest = &tokens[skip_modifiers(tokens, condition[0])];
                    self.edit(&format!("only what “{what}” says"), &(tokens[arm[0]].at.start..rest.at.start), "");
                }
            }
        }
    }

    fn text(&self, tokens: &[Token<'_>], part: &[usize]) -> &str {
        &self.source[tokens[part[0]].at.start..tokens[part[part.len() - 1]].at.end]
    }
}

/// What stands directly in a bracket, up to each comma; each part with everything that is nested in it.
fn parts(tokens: &[Token<'_>], level: Option<usize>) -> Vec<Vec<usize>> {
    let inside = |mut token: usize| loop {
        match tokens[token].inside {
            found if found == level => break true,
            None => break false,
            Some(open) => token = open,
        }
    };
    let close = level.map(|open| closing(tokens, open));
    let all: Vec<usize> = (0..tokens.len()).filter(|index| Some(*index) != close && inside(*index)).collect();
    let commas = all.split(|index| tokens[*index].kind == Kind::Comma && tokens[*index].inside == level);
    commas.filter(|part| !part.is_empty()).map(<[usize]>::to_vec).collect()
}

/// Parts it at these operators, where they stand directly in the same bracket as its first token.
fn split(tokens: &[Token<'_>], part: &[usize], operators: &[&str]) -> Vec<Vec<usize>> {
    let level = tokens[part[0]].inside;
    let is_here = |index: &usize| tokens[*index].inside == level && operators.contains(&tokens[*index].text);
    part.split(is_here).filter(|arm| !arm.is_empty()).map(<[usize]>::to_vec).collect()
}

/// Where the right operand of the comparison ends.
fn operand_end(tokens: &[Token<'_>], operator: usize) -> usize {
    let level = tokens[operator].inside;
    let close = level.map(|open| closing(tokens, open));
    let ends = |(index, token): &(usize, &Token<'_>)| {
        Some(*index) == close || (token.inside == level && (SETS.contains(&token.text) || token.kind == Kind::Comma))
    };
    let end = tokens.iter().enumerate().skip(operator + 1).find(ends);
    end.map_or(tokens[tokens.len() - 1].at.end, |(index, _)| tokens[index - 1].at.end)
}

/// The first token behind `ignoring (…) group_left` and its like.
fn skip_modifiers(tokens: &[Token<'_>], from: usize) -> usize {
    let mut index = from;
    while LISTS.contains(&tokens[index].text) {
        index += 1;
        if tokens[index].text == "(" && is_list(tokens, index) {
            index = closing(tokens, index) + 1;
        }
    }
    index
}

/// Whether the range vector at this duration is one whose last value is asked for.
fn remembering(tokens: &[Token<'_>], duration: usize) -> bool {
    let call = tokens[duration].inside.and_then(|range| tokens[range].inside);
    call.is_some_and(|open| open > 0 && tokens[open - 1].text == "last_over_time")
}

fn is_list(tokens: &[Token<'_>], open: usize) -> bool {
    open > 0 && LISTS.contains(&tokens[open - 1].text)
}

/// The bracket's other half: the first one behind it that stands where the bracket stands.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let close = tokens
        .iter()
        .enumerate()
        .skip(open + 1)
        .find(|(_, token)| token.kind == Kind::Close && token.inside == tokens[open].inside);
    close.expect("brackets are closed").0
}

fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => panic!("no unit {unit}"),
    };
    number.parse::<u64>().expect("a number") * unit
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut start = 0;
    while let Some(first) = source[start..].chars().next() {
        if first == ' ' {
            start += 1;
            continue;
        }
        let (kind, length) = token(&source[start..]);
        if kind == Kind::Close {
            open.pop();
        }
        let at = start..start + length;
        tokens.push(Token { kind, text: &source[at.clone()], at, inside: open.last().copied() });
        if kind == Kind::Open {
            open.push(tokens.len() - 1);
        }
        start += length;
    }
    tokens
}

fn token(rest: &str) -> (Kind, usize) {
    let while_ = |test: fn(char) -> bool| rest.find(|character| !test(character)).unwrap_or(rest.len());
    let first = rest.chars().next().expect("something is left");
    match first {
        '(' | '{' | '[' => (Kind::Open, 1),
        ')' | '}' | ']' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        '"' => (Kind::Text, rest[1..].find('"').expect("a text ends") + 2),
        '0'..='9' => {
            let length = while_(|character| character.is_ascii_alphanumeric() || character == '.');
            let is_number = rest[..length].parse::<f64>().is_ok();
            (if is_number { Kind::Number } else { Kind::Duration }, length)
        }
        'a'..='z' | 'A'..='Z' | '_' => {
            (Kind::Word, while_(|character| character.is_ascii_alphanumeric() || "_:".contains(character)))
        }
        _ => (Kind::Operator, while_(|character| "=!<>~+-*/".contains(character))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expressions(source: &str) -> Vec<String> {
        mutants(source).into_iter().map(|mutant| mutant.expression.replace(' ', "")).collect()
    }

    fn has(source: &str, mutant: &str) {
        let all = expressions(source);
        assert!(all.contains(&mutant.replace(' ', "")), "{source} has no mutant {mutant}:\n{}", all.join("\n"));
    }

    #[test]
    fn every_part_of_an_expression_is_broken() {
        let source = "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0";
        for mutant in [
            "min without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} <= 3) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"}) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 6) or (z unless on (c) w[5m] offset 1h) and v == 0",
            "(z unless on (c) w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3)",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on () w[5m] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[150s] offset 1h) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m]) and v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h)",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or v == 0",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v == 1",
            "max without (a, b) (x{y=~\"p|q\"} > 3) or (z unless on (c) w[5m] offset 1h) and v",
        ] {
            has(source, mutant);
        }
    }

    #[test]
    fn a_comparison_ends_with_its_bracket_and_a_memory_is_only_shortened() {
        has("f(a > b, c) / 2", "f(a, c) / 2");
        let all = expressions("last_over_time(x[1d]) > 0");
        assert!(
            all.contains(&"last_over_time(x[43200s])>0".to_owned()) && all.iter().all(|one| !one.contains("172800"))
        );
    }
}
