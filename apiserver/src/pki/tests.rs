use std::os::unix::fs::PermissionsExt;

use super::*;

struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap()
    }
}

const START: i64 = 1_790_000_000;

fn load(dir: &Path, sans: &[&str], at: i64) -> Pki {
    let sans: Vec<String> = sans.iter().map(|san| (*san).to_owned()).collect();
    Pki::load_or_create(dir, &sans, &At(at)).unwrap()
}

#[test]
fn later_starts_reuse_what_is_there_until_a_name_is_missing_or_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pki");
    let first = load(&path, &[], START);
    let again = load(&path, &[], START + DAY);
    assert_eq!(again.server_pem, first.server_pem);
    assert_eq!(again.account_key.id(), first.account_key.id());
    let named = load(&path, &["hub.example.org", "192.0.2.7"], START);
    assert_eq!(named.ca_pem, first.ca_pem);
    assert_ne!(named.server_pem, first.server_pem);
    assert_eq!(load(&path, &["192.0.2.7"], START).server_pem, named.server_pem);
    let late = load(&path, &[], START + (LEAF_DAYS - RENEW_DAYS + 1) * DAY);
    assert_ne!(late.server_pem, named.server_pem);
    assert_eq!(late.ca_pem, first.ca_pem);
}

#[test]
fn only_the_owner_reads_keys_and_an_authority_without_its_key_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &[], START);
    for name in ["ca.key", "server.key", "sa.key"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    assert!(matches!(
        Pki::load_or_create(dir.path(), &[], &At(START)),
        Err(PkiError::Incomplete(_))
    ));
}

#[test]
fn what_a_crash_leaves_behind_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let first = load(dir.path(), &[], START);
    std::fs::remove_file(dir.path().join("ca.crt")).unwrap();
    let completed = load(dir.path(), &[], START + DAY);
    assert_ne!(completed.ca_pem, first.ca_pem);
    assert_eq!(
        completed.server_pem, first.server_pem,
        "the key is the same, so what it signed holds"
    );
    for torn in ["server.crt", "server.key"] {
        std::fs::remove_file(dir.path().join(torn)).unwrap();
        load(dir.path(), &[], START + DAY);
    }
    // A new key with the old certificate.
    let other = KeyPair::generate().unwrap().serialize_pem();
    write_private(&dir.path().join("server.key"), &other).unwrap();
    assert_ne!(load(dir.path(), &[], START + DAY).server_key_pem, other);
}

#[test]
fn a_client_certificate_says_who_its_owner_is() {
    let pki = Pki::ephemeral(&[], &At(START)).unwrap();
    let (certificate, key) = pki.issue_agent("eu", &At(START)).unwrap();
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let identity = crate::auth::authenticate::Identity::of_certificate(&der).unwrap();
    assert_eq!(identity.user.name, "system:karmada:agent:eu");
    assert_eq!(identity.user.groups, [AGENTS]);
    let config = kubeconfig("https://127.0.0.1:6443", &pki.ca_pem, &certificate, &key, "eu");
    assert!(
        config.contains("\n    server: \"https://127.0.0.1:6443\"\n"),
        "{config}"
    );
    assert!(config.contains("\n    client-key-data: "), "{config}");
}

#[test]
fn a_name_that_is_none_is_refused() {
    assert!(Pki::ephemeral(&["ö".to_owned()], &At(START)).is_err());
}
