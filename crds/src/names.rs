//! Names that are derived from other names, exactly as Karmada derives them, so that its tools find what we make.

/// Name of the binding of a template: `nginx-deployment`.
pub fn binding(kind: &str, name: &str) -> String {
    format!("{}-{}", name.replace(':', "."), kind).to_lowercase()
}

/// Name of the Work of a template: its name and a hash of namespace, name and kind. An empty namespace means that the
/// template is cluster-scoped.
pub fn work(kind: &str, name: &str, namespace: &str) -> String {
    let hashed = if namespace.is_empty() {
        format!("{name}-{kind}")
    } else {
        format!("{namespace}-{name}-{kind}")
    };
    let hash = safe_encode(&fnv32a(hashed.to_lowercase().as_bytes()).to_string());
    format!("{}-{hash}", name.replace(':', ".").to_lowercase())
}

/// 32-bit FNV-1a.
pub fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Maps each character into the alphabet of generated names, which forms no words.
pub fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    text.chars()
        .map(|c| char::from(ALPHABET[c as usize % ALPHABET.len()]))
        .collect()
}

/// User name of the agent of a cluster.
pub fn agent_user(cluster: &str) -> String {
    format!("{AGENT_USER_PREFIX}{cluster}")
}

/// What the user names of agents begin with.
pub const AGENT_USER_PREFIX: &str = "system:karmada:agent:";
/// Group of all agents.
pub const AGENT_GROUP: &str = "system:karmada:agents";
