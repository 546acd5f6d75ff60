//! Which server is meant: a name from `config.yaml`, an address, or the name in a receipt.

use std::path::PathBuf;

use indexmap::IndexMap;
use pony_wire::Dialect;

use super::{
    EMBEDDED, Server,
    address::{Address, AddressError},
    http,
    login::{Configured, Sources},
};

/// A server that `config.yaml` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `url`
    pub(crate) url: String,
    /// `user`, `password`, `password-command`
    pub(crate) login: Configured,
    /// `dialect`
    pub(crate) dialect: Option<Dialect>,
    /// `cacert`: a file with certificates that are trusted for this server besides the system's.
    pub(crate) cacert: Option<PathBuf>,
}

/// All servers that can be named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    /// Where the embedded server has its results.
    pub(crate) results: PathBuf,
    /// `servers` of `config.yaml`.
    pub(crate) entries: IndexMap<String, Entry>,
    /// Where logins are besides that.
    pub(crate) sources: Sources,
    /// `--dialect`: holds for every server that the command line names.
    pub(crate) dialect: Option<Dialect>,
    /// `--cacert`: likewise.
    pub(crate) cacert: Option<PathBuf>,
    /// Servers that the command line names, under their own names: they carry its logins.
    pub(crate) given: IndexMap<String, Server>,
}

impl Servers {
    /// The server that a person names: by its name in `config.yaml`, or its address.
    pub(crate) fn named(&self, text: &str) -> Result<Server, AddressError> {
        if text == EMBEDDED {
            return Ok(Server::embedded(self.results.clone()));
        }
        let (address, entry) = if let Some(entry) = self.entries.get(text) {
            (Address::new(&entry.url)?, Some(entry))
        } else {
            let address = Address::new(text).map_err(|error| self.suggest(text, error))?;
            let entry = self.entry_of(&address);
            (address, entry)
        };
        let cacert = self.cacert.clone().or_else(|| entry.and_then(|entry| entry.cacert.clone()));
        if let Some(path) = &cacert {
            http::certificates(path).map_err(|error| AddressError::Certificates(error.to_string()))?;
        }
        Ok(self.server(address, entry, self.dialect, cacert))
    }

    /// The servers of a command line; the embedded one if it names none. They are known by their receipts' names from then on.
    pub(crate) fn give(&mut self, texts: &[String]) -> Result<Vec<Server>, AddressError> {
        let mut servers = IndexMap::new();
        for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            let server = self.named(text)?;
            servers.entry(server.name()).or_insert(server);
        }
        if servers.is_empty() {
            let server = Server::embedded(self.results.clone());
            servers.insert(server.name(), server);
        }
        self.given.extend(servers.clone());
        Ok(servers.into_values().collect())
    }

    /// The server with this name in receipts.
    pub(crate) fn of_receipt(&self, name: &str) -> Result<Server, AddressError> {
        if let Some(server) = self.given.get(name) {
            return Ok(server.clone());
        }
        if name == EMBEDDED {
            return Ok(Server::embedded(self.results.clone()));
        }
        let address = Address::new(name)?;
        let entry = self.entry_of(&address);
        Ok(self.server(address, entry, None, None))
    }

    fn entry_of(&self, address: &Address) -> Option<&Entry> {
        let name = address.name();
        self.entries.values().find(|entry| Address::new(&entry.url).is_ok_and(|known| known.name() == name))
    }

    fn server(
        &self,
        address: Address,
        entry: Option<&Entry>,
        dialect: Option<Dialect>,
        cacert: Option<PathBuf>,
    ) -> Server {
        let login = entry.map(|entry| entry.login.clone()).unwrap_or_default();
        let dialect = dialect.or(entry.and_then(|entry| entry.dialect));
        let cacert = cacert.or_else(|| entry.and_then(|entry| entry.cacert.clone()));
        Server::remote(address, login, self.sources.clone(), cacert, dialect)
    }

    /// A name that is nearly one of `config.yaml`'s is more likely that than an address.
    fn suggest(&self, text: &str, error: AddressError) -> AddressError {
        let near = self
            .entries
            .keys()
            .map(|name| (strsim::damerau_levenshtein(name, text), name))
            .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
            .min();
        match (near, error) {
            (Some((_, name)), AddressError::NotAUrl { text, why }) => {
                AddressError::NotAUrl { text, why: format!("{why}; did you mean `{name}`?") }
            }
            (_, error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Servers {
        let entry = |url: &str, dialect| Entry {
            url: url.to_owned(),
            login: Configured::default(),
            dialect,
            cacert: None,
        };
        let entries = [
            ("pb-dev".to_owned(), entry("https://pb.example/pony/", None)),
            ("mason".to_owned(), entry("http://mason.example/xmlrpc", Some(Dialect::Devmason))),
        ];
        Servers { entries: entries.into(), ..Servers::default() }
    }

    #[test]
    fn a_server_is_named_in_many_ways() {
        let servers = servers();
        let named = |text: &str| servers.named(text).map(|server| (server.name(), server.given_dialect()));
        assert_eq!(named("pb-dev").unwrap(), ("https://pb.example/pony/".to_owned(), None));
        let mason = ("http://mason.example/".to_owned(), Some(Dialect::Devmason));
        assert_eq!(named("mason").unwrap(), mason);
        assert_eq!(named("http://mason.example").unwrap(), mason, "an entry is found by its address too");
        assert_eq!(named(EMBEDDED).unwrap(), (EMBEDDED.to_owned(), Some(Dialect::PonyServe)));
        let rest = named("http://mason.example/proj/builds").unwrap();
        assert_eq!(rest.1, Some(Dialect::DevmasonRest));
        let error = named("pb-dv").unwrap_err().to_string();
        assert!(error.contains("did you mean `pb-dev`?"), "{error}");
    }

    #[test]
    fn what_the_command_line_names_keeps_its_login_and_its_dialect() {
        let mut servers = Servers { dialect: Some(Dialect::V2009), ..servers() };
        let given = servers
            .give(&["http://u:p@a.example/".to_owned(), String::new(), "http://a.example/xmlrpc".to_owned()])
            .unwrap();
        assert_eq!(given.len(), 1, "the same server once");
        let again = servers.of_receipt("http://a.example/").unwrap();
        assert_eq!(again.given_dialect(), Some(Dialect::V2009));
        assert_eq!(
            servers.of_receipt("http://mason.example/").unwrap().given_dialect(),
            Some(Dialect::Devmason)
        );
        assert_eq!(servers.give(&[]).unwrap()[0].name(), EMBEDDED);
    }
}
