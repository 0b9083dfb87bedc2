//! Templates of several messages.

/// Who says a part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

/// The parts of a template: each begins with a line that names its speaker; without one the user says it all. They are
/// told apart before anything is filled in, so that no text of a task can begin one.
pub(super) fn parts(template: &str) -> Vec<(Speaker, &str)> {
    let mut parts = Vec::new();
    let mut rest = template;
    let mut speaker = Speaker::User;
    loop {
        let marks = [("[user]\n", Speaker::User), ("[assistant]\n", Speaker::Assistant)];
        let starts = |(mark, _): &(&str, Speaker)| {
            if rest.starts_with(mark) { Some(0) } else { rest.find(&format!("\n{mark}")).map(|at| at + 1) }
        };
        let next = marks.iter().filter_map(|mark| Some((starts(mark)?, *mark))).min_by_key(|(at, _)| *at);
        let Some((at, (mark, next_speaker))) = next else {
            parts.push((speaker, rest));
            return parts;
        };
        parts.push((speaker, &rest[..at]));
        (speaker, rest) = (next_speaker, &rest[at + mark.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_parts_of_a_template_apart() {
        assert_eq!(parts("ask"), [(Speaker::User, "ask")]);
        let template = "[user]\none\n[assistant]\ntwo [user]\n[user]\nthree\n";
        let expected = [
            (Speaker::User, ""),
            (Speaker::User, "one\n"),
            (Speaker::Assistant, "two [user]\n"),
            (Speaker::User, "three\n"),
        ];
        assert_eq!(parts(template), expected);
    }
}
