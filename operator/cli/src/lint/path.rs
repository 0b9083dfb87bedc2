//! Paths into objects: JSON pointers for programs, dotted paths for people.

use std::fmt::Write as _;

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer(String);

impl Pointer {
    /// The whole object.
    pub(crate) const fn root() -> Self {
        Self(String::new())
    }

    /// What a pointer says.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pointer of a path such as `spec.steps[0].name`, whose names hold neither dots nor brackets.
    pub(crate) fn of_dotted(path: &str) -> Self {
        let segments = path.split(['.', '[', ']']).filter(|segment| !segment.is_empty());
        segments.fold(Self::root(), |pointer, segment| pointer.member(segment))
    }

    pub(crate) fn member(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// What holds this value; of the whole object, itself.
    pub(crate) fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or_else(String::new, |(parent, _)| parent.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as the API server writes it: `spec.steps[0].name`. The whole object is `object`.
    pub(crate) fn dotted(&self) -> String {
        let mut path = String::new();
        for segment in self.0.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let separator = if path.is_empty() { "" } else { "." };
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let _ = if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
                write!(path, "[{name}]")
            } else if plain {
                write!(path, "{separator}{name}")
            } else {
                write!(path, "[{name:?}]")
            };
        }
        if path.is_empty() { "object".to_owned() } else { path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_paths_as_the_api_server_does() {
        for (pointer, path) in [
            ("", "object"),
            ("/spec/steps/0/name", "spec.steps[0].name"),
            ("/metadata/labels/a.b~1c", "metadata.labels[\"a.b/c\"]"),
        ] {
            assert_eq!(Pointer::parse(pointer).dotted(), path);
        }
        assert_eq!(Pointer::of_dotted("spec.steps[0].name"), Pointer::parse("/spec/steps/0/name"));
    }

    #[test]
    fn goes_up_to_the_object() {
        let pointer = Pointer::root().member("a/b").index(3);
        assert_eq!(pointer.as_str(), "/a~1b/3");
        assert_eq!(pointer.parent().parent(), Pointer::root());
        assert_eq!(Pointer::root().parent(), Pointer::root());
    }
}
