//! `search`

use anyhow::Result;
use dise_core::wire::{SearchFilter, SearchQuery, SearchResult};

use super::show;
use crate::{
    cli::SearchArgs,
    cluster::Cluster,
    exit::{Outcome, say},
    view::{Paint, render_hits},
};

pub(super) async fn search(cluster: &Cluster, args: &SearchArgs) -> Result<Outcome> {
    let found: SearchResult =
        cluster.post("/v1/search", &query(args), args.operator_namespace.as_deref()).await?;
    if found.hits.is_empty() {
        say(&format!("nothing in namespace {} fits", cluster.namespace));
    }
    if !found.by_meaning {
        say(
            "the words alone were compared: the operator has no model for the meaning of texts, or it does not answer",
        );
    }
    show(args.output, &found, || render_hits(&found.hits, Paint::detect()))?;
    Ok(Outcome::Well)
}

fn query(args: &SearchArgs) -> SearchQuery {
    SearchQuery {
        text: args.text.join(" "),
        filter: SearchFilter {
            kinds: args.kinds.clone(),
            languages: args.languages.clone(),
            tags: args.tags.iter().cloned().collect(),
            min_quality: args.min_quality,
        },
        limit: Some(args.limit),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use dise_core::function::Language;

    use super::*;
    use crate::cli::{Cli, Command};

    fn of(line: &str) -> SearchQuery {
        let Command::Search(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!()
        };
        query(&args)
    }

    #[test]
    fn asks_what_the_command_line_says() {
        let asked = of("kubectl-dise search slug of titles --kind Function --kind Prompt --tag domain=web \
                        --language python --min-quality 0.9 --limit 3");
        let filter = SearchFilter {
            kinds: vec!["Function".into(), "Prompt".into()],
            languages: vec![Language::Python],
            tags: [("domain".to_owned(), "web".to_owned())].into(),
            min_quality: Some("0.9".parse().unwrap()),
        };
        assert_eq!(asked, SearchQuery { text: "slug of titles".into(), filter, limit: Some(3) });
    }

    #[test]
    fn asks_for_everything_by_default() {
        let everything = SearchQuery { text: "x".into(), filter: SearchFilter::default(), limit: Some(10) };
        assert_eq!(of("kubectl-dise search x"), everything);
    }
}
