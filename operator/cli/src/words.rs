//! Words for people: suggestions and lists.

/// `; did you mean `x`?`, or nothing. A third of the name may be wrong: suggesting anything for everything helps
/// nobody.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let tolerance = name.chars().count().max(3) / 3;
    let near = candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min();
    near.map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near() {
        let names = ["sentiment", "translate", "triage"];
        assert_eq!(did_you_mean("sentimnet", names), "; did you mean `sentiment`?");
        assert_eq!(did_you_mean("forex", names), "");
        assert_eq!(did_you_mean("a", []), "");
    }
}
