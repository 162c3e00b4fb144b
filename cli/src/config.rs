//! Which broker, which profile, and where do files live?
//!
//! Flags win over the environment, the environment over the profile. Files follow XDG. Nothing is ever read from the working
//! directory: a cloned repository must not be able to redirect a credential, so relative folders in the environment are
//! refused instead of resolved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::auth::vault::Storage;
use crate::error::{Failure, Result};

/// The folders this program uses.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `config.toml`.
    pub(crate) config: PathBuf,
    /// Receipts, checkpoints, locks, credentials kept in files.
    pub(crate) state: PathBuf,
}

/// `config.toml`, whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// Logs pinned at first sign-in, by broker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) logs: BTreeMap<String, PinnedLog>,
}

/// A named set of choices.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<Storage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// SSH key that signs verdicts as well: its fingerprint, or where its `.pub` file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh_key: Option<String>,
}

/// The evidence log that a broker showed when it was first met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinnedLog {
    pub(crate) origin: String,
    /// C2SP verifier key.
    pub(crate) key: String,
    /// When, ms since 1970.
    pub(crate) pinned_ms: i64,
    /// Keys that were pinned before and that the log itself has replaced since, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<EarlierKey>,
}

/// A key of the log that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EarlierKey {
    /// C2SP verifier key.
    pub(crate) key: String,
    /// Entries of the largest tree that it signs.
    pub(crate) until: u64,
}

impl Paths {
    /// Finds the folders from the environment.
    ///
    /// # Errors
    /// When there is no home folder, or a folder given in the environment is not absolute.
    pub(crate) fn find(environment: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let folder = |own: &str, xdg: &str, below_home: &str| -> Result<PathBuf> {
            if let Some(given) = environment(own).filter(|value| !value.is_empty()) {
                let path = PathBuf::from(&given);
                if path.is_absolute() {
                    return Ok(path);
                }
                return Err(Failure::usage(format!("{own} must be an absolute path"))
                    .why(format!(
                        "`{given}` depends on the working directory, which may not choose where credentials go"
                    ))
                    .hint("chunkctl config"));
            }
            // The XDG specification says to ignore relative paths in its own variables.
            if let Some(path) = environment(xdg).map(PathBuf::from).filter(|path| path.is_absolute()) {
                return Ok(path.join("chunkctl"));
            }
            match environment("HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
                Some(home) => Ok(home.join(below_home).join("chunkctl")),
                None => Err(Failure::usage("there is no home folder").why(format!("neither {own}, {xdg} nor HOME is an absolute path"))),
            }
        };
        Ok(Self {
            config: folder("CHUNKCTL_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")?.join("config.toml"),
            state: folder("CHUNKCTL_STATE_DIR", "XDG_STATE_HOME", ".local/state")?,
        })
    }
}

impl Config {
    /// Reads the file; an absent one is empty.
    ///
    /// # Errors
    /// When it cannot be read or does not parse.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("`{}` is not a valid configuration", path.display()))
                .why(error.to_string())
                .hint("chunkctl config")
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).map_err(|_| Failure::bug("the configuration could not be written as TOML"))?;
        write_private(path, text.as_bytes())
    }

    pub(crate) fn profile(&self, name: &str) -> Profile {
        self.profiles.get(name).cloned().unwrap_or_default()
    }
}

/// Writes a file that only its owner may read, in a folder that only its owner may enter, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Failure::bug("a file needs a folder"))?;
    private_folder(folder)?;
    let write = || -> std::io::Result<()> {
        use std::io::Write as _;
        let mut file = tempfile::Builder::new().prefix(".chunkctl-").tempfile_in(folder)?; // 0600 from the start
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| Failure::file("write", path, &error))
}

/// Makes a folder that only its owner may enter; one that exists is left as it is.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|error| Failure::file("create", folder, &error))
}

/// A broker's address, checked: `https`, or `http` on this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokerUrl(url::Url);

impl BrokerUrl {
    /// Parses an address as typed; a bare host name means `https`.
    ///
    /// # Errors
    /// When it is no address a credential may be sent to.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Failure::usage(format!("`{text}` is not a broker's address"))
                .why(why)
                .hint("chunkctl login --broker https://broker.example.com")
        };
        let typed = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let mut url = url::Url::parse(&typed).map_err(|_| wrong("it does not parse as a URL"))?;
        check_transport(&url).map_err(wrong)?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must be a host, a port and a path only"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The address without a trailing slash: the name under which credentials and pins are kept.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL of a route. Each segment is encoded, so that a name cannot change the route.
    pub(crate) fn route(&self, segments: &[&str]) -> url::Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }
}

/// Whether tokens may be sent there: encrypted, or without leaving this machine.
pub(crate) fn check_transport(url: &url::Url) -> std::result::Result<(), &'static str> {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("it names no host"),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err("`http` would send tokens in clear; it is accepted for this machine's own addresses only"),
        _ => Err("it must start with `https://`"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "https://b.example",
            "b.example:8443",
            "http://localhost:7341",
            "http://127.0.0.1:1",
            "http://[::1]:1/",
            "https://b/x/",
        ] {
            assert!(BrokerUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://b.example",
            "ftp://b",
            "https://u:p@b",
            "https://b?x",
            "https://b#x",
            "http://127.0.0.1.evil.com",
            "http://localhost.evil.com",
            "",
        ] {
            assert!(BrokerUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(BrokerUrl::parse("https://B.example/").unwrap().as_str(), "https://b.example");
        assert_eq!(BrokerUrl::parse("https://b/x/").unwrap().as_str(), "https://b/x");
    }

    #[test]
    fn a_name_cannot_change_the_route() {
        let url = BrokerUrl::parse("https://b.example/base")
            .unwrap()
            .route(&["v1", "datasets", "../../admin?x#y/z"]);
        assert_eq!(url.as_str(), "https://b.example/base/v1/datasets/..%2F..%2Fadmin%3Fx%23y%2Fz");
    }

    #[test]
    fn folders_follow_xdg_and_never_the_working_directory() {
        let find =
            |pairs: &[(&str, &str)]| Paths::find(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        assert_eq!(
            find(&[("HOME", "/h")]).unwrap().config,
            Path::new("/h/.config/chunkctl/config.toml")
        );
        assert_eq!(
            find(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]).unwrap().state,
            Path::new("/s/chunkctl")
        );
        assert_eq!(
            find(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "rel")]).unwrap().config,
            Path::new("/h/.config/chunkctl/config.toml")
        );
        assert_eq!(
            find(&[("HOME", "/h"), ("CHUNKCTL_STATE_DIR", "/x")]).unwrap().state,
            Path::new("/x")
        );
        assert!(find(&[("HOME", "/h"), ("CHUNKCTL_CONFIG_DIR", ".")]).is_err());
        assert!(find(&[("HOME", ".")]).is_err());
    }

    #[test]
    fn the_configuration_survives_a_round_trip_and_refuses_unknown_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chunkctl/config.toml");
        let mut config = Config::default();
        config.profiles.insert(
            "default".into(),
            Profile {
                broker: Some("https://b".into()),
                storage: Some(Storage::File),
                ca_file: None,
                ssh_key: Some("SHA256:k".into()),
            },
        );
        config.logs.insert(
            "https://b".into(),
            PinnedLog {
                origin: "o".into(),
                key: "k".into(),
                pinned_ms: 1,
                earlier: vec![EarlierKey { key: "j".into(), until: 9 }],
            },
        );
        config.write(&path).unwrap();
        let read = Config::read(&path).unwrap();
        assert_eq!(read.profile("default").storage, Some(Storage::File));
        assert_eq!(read.logs, config.logs);
        std::fs::write(&path, "brokr = 1").unwrap();
        assert!(Config::read(&path).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
