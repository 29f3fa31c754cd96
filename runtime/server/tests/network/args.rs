//! The flags: their defaults are those of the options, and what does not fit together is refused.

use clap::{CommandFactory, Parser};
use hearth_server::{Options, ServerArgs, TlsError};

use crate::world::Folder;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    server: ServerArgs,
}

fn parse(arguments: &str) -> Result<ServerArgs, String> {
    let cli = Cli::try_parse_from(["test"].into_iter().chain(arguments.split_whitespace()));
    cli.map(|cli| cli.server).map_err(|error| error.to_string())
}

#[test]
fn no_flags_are_the_default_options() {
    Cli::command().debug_assert();
    let (made, default) = (parse("").unwrap().options(Options::default().requests), Options::default());
    assert_eq!(format!("{made:?}"), format!("{default:?}"));
}

#[test]
fn flags_become_options() {
    let args = parse(
        "--rate-per-address 5 --trusted-proxy 10.0.0.0/8,192.0.2.1 --max-connections 7 --connections-per-address 3 --max-body 1 --client-timeout 2 \
         --allow-origin https://a.example --drain 9",
    );
    let options = args.unwrap().options(4);
    assert_eq!((options.requests, options.rate_per_address, options.connections, options.connections_per_address), (4, 5, 7, 3));
    assert_eq!(
        (options.body_bytes, options.body_timeout.as_secs(), options.write_timeout.as_secs(), options.drain.as_secs()),
        (1 << 20, 2, 2, 9)
    );
    assert_eq!(options.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(options.socket.origins, ["https://a.example"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let cases = [
        ("--tls-cert a.pem", "--tls-key"),
        ("--tls-cert a.pem --tls-key b.pem --tls-self-signed", "cannot be used with"),
        ("--tls-self-signed --acme-domain a.example", "cannot be used with"),
        ("--trusted-proxy proxy.example", "10.0.0.0/8"),
        ("--max-header 4", "8..="),
        ("--client-timeout 0", "1..="),
    ];
    for (arguments, says) in cases {
        let error = parse(arguments).unwrap_err();
        assert!(error.contains(says), "{arguments}: {error}");
    }
}

#[test]
fn the_state_folder_is_asked_for_only_where_something_is_kept() {
    let address = "127.0.0.1:1".parse().unwrap();
    let never = || -> Result<_, TlsError> { panic!("nothing is kept") };
    assert!(parse("").unwrap().tls(address, never).unwrap().is_none());
    assert!(parse("--tls-cert none.pem --tls-key none.pem").unwrap().tls(address, never).unwrap_err().to_string().contains("none.pem"));
    let folder = Folder::new();
    let tls = parse("--tls-self-signed").unwrap().tls(address, || Ok::<_, TlsError>(folder.path().to_owned())).unwrap().unwrap();
    assert!(tls.fingerprint().is_some() && folder.path().join("tls/self-signed.pem").exists());
    for wrong in ["*.chat.example", "192.0.2.1"] {
        let error = parse(&format!("--acme-domain {wrong}")).unwrap().tls(address, || Ok::<_, TlsError>(folder.path().to_owned()));
        assert!(error.unwrap_err().to_string().contains("as chat.example"), "{wrong}");
    }
    let plain = parse("--acme-domain chat.example --acme-directory http://ca.example").unwrap();
    assert!(plain.tls(address, || Ok::<_, TlsError>(folder.path().to_owned())).unwrap_err().to_string().contains("https://"));
}

#[test]
fn exposure_is_judged_by_the_flags() {
    let open = "0.0.0.0:1".parse().unwrap();
    let says = |arguments: &str, keys: bool| parse(arguments).unwrap().check_exposure(open, keys).map_err(|error| error.to_string());
    assert!(says("", false).unwrap_err().contains("no keys and has no TLS"));
    assert!(says("--tls-self-signed", false).unwrap_err().contains("no keys"));
    assert!(says("", true).unwrap_err().contains("no TLS"));
    assert_eq!(says("--tls-self-signed", true), Ok(()));
    assert_eq!(says("--allow-exposed", false), Ok(()));
    assert_eq!(parse("").unwrap().check_exposure("[::1]:1".parse().unwrap(), false), Ok(()));
}
