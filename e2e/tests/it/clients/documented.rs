//! What `docs/how-to/connect-clients.md` says is tried: its blocks run in their order, in one shell.

use std::process::Command;

use e2e::federation::Federation;
use e2e::process::root;
use e2e::tools;

/// The blocks of a page in one language, one after the other.
fn blocks(page: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_page_about_clients_tells_what_works() {
    let federation = Federation::start().unwrap();
    let page = std::fs::read_to_string(root().join("docs/how-to/connect-clients.md")).unwrap();
    let [kubectl, helm] = ["kubectl", "helm"].map(|tool| tools::find(tool, Some("37")));
    let folders = [&kubectl, &helm].map(|tool| tool.parent().unwrap().to_str().unwrap().to_owned());
    let folder = federation.path("documented");
    std::fs::create_dir_all(&folder).unwrap();
    // Charts are named from the root of the project.
    std::os::unix::fs::symlink(root().join("e2e"), folder.join("e2e")).unwrap();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(&folder)
            .env("HUB", federation.hub_dir())
            .env("HOME", &folder)
            .env(
                "PATH",
                format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap()),
            )
            .env("PYTHONPATH", tools::find("python-client", None))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{stdout}{stderr}");
        stdout
    };
    let told = run("bash", &["-euxo", "pipefail", "-c", &blocks(&page, "sh")]);
    for text in [
        "deployment.apps/web",
        "certificatesigningrequest.certificates.k8s.io/jane approved",
        "Rollback was a success",
        "caData",
    ] {
        assert!(told.contains(text), "{text} is missing in:\n{told}");
    }
    let told = run("python3", &["-c", &blocks(&page, "python")]);
    assert!(told.contains("web\n") && told.contains(" policies\n"), "{told}");
}
