//! Absolute URLs and absolute paths, as far as expressions ask about them.

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

/// Reads an absolute URL or an absolute path.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let problem = |detail: &str| {
        Err(format!(
            "URL parse error during conversion from string: parse {text:?}: {detail}"
        ))
    };
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return problem("net/url: invalid control character in URL");
    }
    if text.contains(' ') && text.split(['?', '#']).next().is_some_and(|before| before.contains(' ')) {
        let in_path = text
            .split_once("://")
            .is_none_or(|(_, rest)| rest.find(' ') > rest.find('/') && rest.contains('/'));
        if !in_path {
            return problem("invalid character \" \" in host name");
        }
    }
    let (rest, fragment) = text
        .split_once('#')
        .map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
    if fragment.is_some() && rest.is_empty() {
        return problem("invalid URI for request");
    }
    let scheme_end = rest.find(':').filter(|end| {
        let scheme = &rest[..*end];
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    });
    let (scheme, rest) = match scheme_end {
        Some(end) => (rest[..end].to_ascii_lowercase(), &rest[end + 1..]),
        None => (String::new(), rest),
    };
    if !rest.starts_with('/') {
        return problem("invalid URI for request");
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = if scheme.is_empty() {
        ("", rest)
    } else {
        match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |end| rest.split_at(end)),
            None => ("", rest),
        }
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = host
        .rsplit_once(']')
        .map_or(host, |(_, rest)| rest)
        .rsplit_once(':')
        .map(|(_, port)| port);
    if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return problem("invalid port after host");
    }
    if host.starts_with('[') && !host.contains(']') {
        return problem("missing ']' in host");
    }
    if unescape(path).is_none() || unescape(host).is_none() {
        return problem("invalid URL escape");
    }
    Ok(Url {
        text: text.to_owned(),
        scheme,
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

impl Url {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// With its port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Without port and brackets.
    pub(super) fn hostname(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.rsplit_once(':').map_or(&self.host, |(host, _)| host),
        }
    }

    pub(super) fn port(&self) -> &str {
        let rest = self.host.rsplit_once(']').map_or(self.host.as_str(), |(_, rest)| rest);
        rest.rsplit_once(':').map_or("", |(_, port)| port)
    }

    pub(super) fn path(&self) -> String {
        self.path.replace(' ', "%20")
    }

    /// Each key with its values, in order of appearance.
    pub(super) fn query(&self) -> Vec<(String, Vec<String>)> {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for pair in self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(key), Some(value)) = (unescape(&key.replace('+', " ")), unescape(&value.replace('+', " ")))
            else {
                continue;
            };
            let place = *places.entry(key.clone()).or_insert_with(|| {
                all.push((key, Vec::new()));
                all.len() - 1
            });
            all[place].1.push(value);
        }
        all
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits)
                .ok()
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}
