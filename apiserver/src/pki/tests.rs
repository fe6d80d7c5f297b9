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
    assert_eq!(again.serving().certificate_pem, first.serving().certificate_pem);
    assert_eq!(again.account_key.id(), first.account_key.id());
    let named = load(&path, &["hub.example.org", "192.0.2.7"], START);
    assert_eq!(named.ca_pem, first.ca_pem);
    assert_ne!(named.serving().certificate_pem, first.serving().certificate_pem);
    assert_eq!(
        load(&path, &["192.0.2.7"], START).serving().certificate_pem,
        named.serving().certificate_pem
    );
    let late = load(&path, &[], START + (LEAF_DAYS - RENEW_DAYS + 1) * DAY);
    assert_ne!(late.serving().certificate_pem, named.serving().certificate_pem);
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
        completed.serving().certificate_pem,
        first.serving().certificate_pem,
        "the key is the same, so what it signed holds"
    );
    for torn in ["server.crt", "server.key"] {
        std::fs::remove_file(dir.path().join(torn)).unwrap();
        load(dir.path(), &[], START + DAY);
    }
    // A new key with the old certificate.
    let other = KeyPair::generate().unwrap().serialize_pem();
    write_private(&dir.path().join("server.key"), &other).unwrap();
    assert_ne!(load(dir.path(), &[], START + DAY).serving().key_pem, other);
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

#[test]
fn the_serving_certificate_is_renewed_in_its_last_month_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let pki = load(dir.path(), &["hub.example.org"], START);
    let first = pki.serving();
    let due = START + (LEAF_DAYS - RENEW_DAYS) * DAY;
    assert!(!pki.renew(&At(due - DAY)).unwrap());
    assert!(pki.renew(&At(due + DAY)).unwrap());
    let second = pki.serving();
    assert!(second.certificate_pem != first.certificate_pem && second.key_pem != first.key_pem);
    assert!(!pki.renew(&At(due + DAY)).unwrap());
    // A later start finds it, and so does a server that runs beside the one that made it.
    let other = load(dir.path(), &["hub.example.org"], due + DAY);
    assert!(*other.serving() == *second);
    assert!(other.renew(&At(due + LEAF_DAYS * DAY)).unwrap());
    assert!(pki.renew(&At(due + LEAF_DAYS * DAY)).unwrap());
    assert!(*other.serving() == *pki.serving());

    let pki = Pki::ephemeral(&[], &At(START)).unwrap();
    assert!(!pki.renew(&At(due - DAY)).unwrap());
    assert!(pki.renew(&At(due + DAY)).unwrap());
}

#[test]
fn the_kubeconfig_of_the_administrator_is_written_again_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::ephemeral(&[], &At(START)).unwrap();
    let path = dir.path().join("admin.kubeconfig");
    let file = AdminFile::create(&path, "https://127.0.0.1:6443", &pki, &At(START)).unwrap();
    let read = || std::fs::read_to_string(&path).unwrap();
    let first = read();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let due = START + (LEAF_DAYS - RENEW_DAYS) * DAY;
    assert!(!file.renew(&pki, &At(due - 1)).unwrap());
    assert_eq!(read(), first);
    assert!(file.renew(&pki, &At(due)).unwrap());
    assert_ne!(read(), first);
    assert!(!file.renew(&pki, &At(due + DAY)).unwrap());
}

#[test]
fn an_authority_that_would_end_first_is_certified_again_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let first = load(dir.path(), &[], START);
    let late = START + (CA_DAYS - LEAF_DAYS) * DAY;
    let (certificate, _) = first.issue_client("eve", &[], &At(late)).unwrap();
    assert_eq!(load(dir.path(), &[], late - 31 * DAY).ca_pem, first.ca_pem);
    let next = load(dir.path(), &[], late);
    assert_ne!(next.ca_pem, first.ca_pem);
    let [old, new] = [&first, &next].map(|pki| CertificateDer::from_pem_slice(pki.ca_pem.as_bytes()).unwrap());
    let [(_, old), (_, new)] = [&old, &new].map(|der| X509Certificate::from_der(der).unwrap());
    assert_eq!(old.subject(), new.subject());
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let (_, client) = X509Certificate::from_der(&der).unwrap();
    client.verify_signature(Some(new.public_key())).unwrap();
    assert!(old.validity().not_after < new.validity().not_after);

    // Somebody else's authority stays what it is.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    set_validity(&mut params, Timestamp::from_second(START).unwrap(), 40);
    params.distinguished_name = distinguished("corporate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap().pem();
    let dir = tempfile::tempdir().unwrap();
    files::store_pair(dir.path(), "ca", &(own.clone(), key.serialize_pem())).unwrap();
    assert_eq!(load(dir.path(), &[], START).ca_pem, own);
}

#[test]
fn keys_that_others_can_read_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path(), &[], START);
    for name in ["ca.key", "server.key", "sa.key"] {
        let path = dir.path().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        load(dir.path(), &[], START);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
}
