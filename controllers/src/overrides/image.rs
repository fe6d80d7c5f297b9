//! Names of container images, taken apart and put together: `[registry/]repository[:tag][@digest]`.

use std::fmt;

/// The parts of an image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Host, with its port; empty for the runtime's default.
    pub registry: String,
    /// Path within the registry.
    pub repository: String,
    /// Tag, or empty.
    pub tag: String,
    /// Digest, such as `sha256:…`, or empty.
    pub digest: String,
}

impl Image {
    /// Takes a name apart; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, digest) = text.split_once('@').unwrap_or((text, ""));
        // A colon before the last slash is that of a port.
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].rfind(':') {
            Some(colon) => (&rest[..name_start + colon], &rest[name_start + colon + 1..]),
            None => (rest, ""),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => ("", name),
        };
        let image = Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        };
        let whole = image.to_string() == text;
        (whole && is_path(repository) && is_tag_or_empty(tag)).then_some(image)
    }

    /// What follows the repository: the tag, or else the digest.
    pub fn tag_or_digest(&self) -> &str {
        if self.tag.is_empty() { &self.digest } else { &self.tag }
    }

    /// Sets the tag or, when the text is one, the digest; the other goes, because a digest would win over a tag.
    pub fn set_tag_or_digest(&mut self, text: &str) {
        let is_digest = text.contains(':');
        (self.tag, self.digest) = if is_digest {
            (String::new(), text.to_owned())
        } else {
            (text.to_owned(), String::new())
        };
    }
}

fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.split('/').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
        })
}

fn is_tag_or_empty(text: &str) -> bool {
    text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.registry.is_empty() {
            write!(f, "{}/", self.registry)?;
        }
        f.write_str(&self.repository)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        if !self.digest.is_empty() {
            write!(f, "@{}", self.digest)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, parts: [&str; 4]) {
        let image = Image::parse(text).unwrap();
        assert_eq!(
            [&*image.registry, &*image.repository, &*image.tag, &*image.digest],
            parts,
            "{text}"
        );
        assert_eq!(image.to_string(), text);
    }

    #[test]
    fn section_5_names_of_images() {
        check("nginx", ["", "nginx", "", ""]);
        check("library/nginx:1.27", ["", "library/nginx", "1.27", ""]);
        check("registry.k8s.io/pause:3.9", ["registry.k8s.io", "pause", "3.9", ""]);
        check("localhost/a", ["localhost", "a", "", ""]);
        check("host:5000/a/b:v1", ["host:5000", "a/b", "v1", ""]);
        check("a.io/b@sha256:00ff", ["a.io", "b", "", "sha256:00ff"]);
        check("a.io/b:v1@sha256:00ff", ["a.io", "b", "v1", "sha256:00ff"]);
        for wrong in ["", "Nginx", "a//b", "a:", "a:b c", "/a", "a.io/", "a@"] {
            assert_eq!(Image::parse(wrong), None, "{wrong}");
        }
    }
}
