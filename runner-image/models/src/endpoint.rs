//! Where a server is.

use std::{fmt, str::FromStr};

use dise_core::synthesis::ModelApi;
use reqwest::Url;

/// The base URL of a server: `http://host:11434/v1` for the `OpenAI` API, `https://api.anthropic.com` for Anthropic's.
///
/// It holds no credentials and no query, so that it can be shown in any message.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an endpoint. Does not repeat the text, which may hold what should not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL of the web.
    #[error("the endpoint must be an http or https URL such as https://api.openai.com/v1")]
    NotHttp,
    /// `user:password@`.
    #[error("the endpoint must not hold a user or password; put the key into a Secret")]
    Credentials,
    /// `?` or `#`.
    #[error("the endpoint must be a base URL without `?` and `#`; put the key into a Secret")]
    Query,
}

impl Endpoint {
    /// The URL of a path below the base.
    pub(crate) fn url(&self, api: ModelApi, path: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Anthropic's own clients take the base without the version, those of OpenAI with it.
        let version = (api == ModelApi::Anthropic && !self.0.path().ends_with("/v1")).then_some("v1");
        // Fails only for a URL that cannot be a base, which is none of http.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(version).extend(path);
        }
        url
    }

    /// Host, port and path: what tells one server from another however it is reached.
    pub(crate) fn place(&self, api: ModelApi) -> String {
        let url = self.url(api, &[]);
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(EndpointError::NotHttp)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_each_protocol_is_used_to() {
        for (api, base, url) in [
            (ModelApi::OpenAI, "http://h:11434/v1", "http://h:11434/v1/x/a%2Fb"),
            (ModelApi::OpenAI, "http://h:11434/v1/", "http://h:11434/v1/x/a%2Fb"),
            (ModelApi::OpenAI, "https://h", "https://h/x/a%2Fb"),
            (ModelApi::Anthropic, "https://api.anthropic.com", "https://api.anthropic.com/v1/x/a%2Fb"),
            (ModelApi::Anthropic, "https://proxy/claude/v1/", "https://proxy/claude/v1/x/a%2Fb"),
        ] {
            let endpoint: Endpoint = base.parse().unwrap();
            assert_eq!(endpoint.url(api, &["x", "a/b"]).as_str(), url);
        }
    }

    #[test]
    fn refuses_what_could_hold_a_secret_and_does_not_repeat_it() {
        for (text, error) in [
            ("hunter2", EndpointError::NotHttp),
            ("ftp://hunter2/", EndpointError::NotHttp),
            ("https://user:hunter2@h/v1", EndpointError::Credentials),
            ("https://h/v1?key=hunter2", EndpointError::Query),
            ("https://h/v1#hunter2", EndpointError::Query),
        ] {
            let refused = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn is_shown_without_a_slash_at_its_end() {
        assert_eq!("http://h:1/".parse::<Endpoint>().unwrap().to_string(), "http://h:1");
    }
}
