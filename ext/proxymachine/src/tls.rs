//! TLS for Ruby: the classes `ProxyMachine::Certificates` and `ProxyMachine::Authorities`, the keys of session tickets,
//! and the key log. lib/proxymachine/certificates.rb and
//! authorities.rb have their documentation, and check what a config gives.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use bytes::Bytes;
use magnus::typed_data::{Obj, TypedData};
use magnus::value::{Qtrue, ReprValue};
use magnus::{
    Class, Error, IntoValue, Module, Object, RClass, RString, Ruby, TryConvert, Value, function, method,
};
use proxymachine_admin::certificates::CertificateStats;
use proxymachine_engine::error::plain;
use proxymachine_engine::tls::rustls::pki_types::ServerName;
use proxymachine_engine::tls::tickets::TicketKeys;
use proxymachine_engine::tls::{
    Authorities, AuthorityOptions, CertificateCache, CertificateInfo, CertificateOptions, CertificatePath,
    Certificates, Exchange, LoadError, MAX_TEXTS, MinVersion, TlsInfo, key_log, now,
};
use zeroize::Zeroizing;

use crate::{error, gvl};

/// The Ruby object around certificates. Immutable.
#[magnus::wrap(class = "ProxyMachine::Certificates", free_immediately, size)]
struct RubyCertificates(Certificates);

/// The Ruby object around authorities. Immutable.
#[magnus::wrap(class = "ProxyMachine::Authorities", free_immediately, size)]
struct RubyAuthorities(Authorities);

/// The certificates of the texts that blocks name.
static TEXTS: LazyLock<CertificateCache> = LazyLock::new(|| CertificateCache::new(MAX_TEXTS));

/// Returns the certificates of a Ruby object; None if it is no `ProxyMachine::Certificates`.
pub fn certificates(value: Value) -> Option<Certificates> {
    <&RubyCertificates>::try_convert(value).ok().map(|object| object.0.clone())
}

/// Returns the authorities of a Ruby object; None if it is no `ProxyMachine::Authorities`.
pub fn authorities(value: Value) -> Option<Authorities> {
    <&RubyAuthorities>::try_convert(value).ok().map(|object| object.0.clone())
}

/// Returns the authorities that `:remote_tls` names: true for those of the system, a String for those and a name, or an
/// object of `authorities(…)`. None for nil and false.
///
/// # Errors
/// Returns what is expected instead.
pub fn remote_tls(value: Value) -> Result<Option<Authorities>, &'static str> {
    if !value.to_bool() {
        return Ok(None);
    }
    if let Some(authorities) = authorities(value) {
        return Ok(Some(authorities));
    }
    let name = match RString::from_value(value) {
        Some(text) => Some(text.to_bytes()),
        None if Qtrue::from_value(value).is_some() => None,
        None => return Err("true, the name in the server's certificate, or authorities(…)"),
    };
    let system = Authorities::system().map_err(|_| "authorities(\"/path\"), since the system has none")?;
    let Some(name) = name else { return Ok(Some(system)) };
    let name = std::str::from_utf8(&name).ok().and_then(|name| ServerName::try_from(name.to_owned()).ok());
    Ok(Some(system.with_name(name.ok_or("the name of a host or an IP address")?)))
}

/// Returns what `ProxyMachine::Client::TLS` takes.
pub fn describe_connection(ruby: &Ruby, info: &TlsInfo) -> Result<Value, Error> {
    let chain = ruby.ary_from_iter(info.chain.iter().map(|certificate| ruby.str_from_slice(certificate)));
    let alpn = info.alpn.as_deref().map(String::from_utf8_lossy);
    let values = (
        info.sni.as_deref(),
        alpn.as_deref(),
        info.version.name(),
        info.cipher,
        info.key_exchange,
        info.is_resumed,
        chain,
    );
    Ok(values.into_value_with(ruby))
}

/// What a certificate says, for Ruby: name, file, the first and the last second of its validity since 1970.
type InfoTuple = (String, String, i64, i64);

fn describe(infos: &[CertificateInfo]) -> Vec<InfoTuple> {
    let tuple = |info: &CertificateInfo| {
        (info.name.clone(), info.source_name.clone(), info.not_before, info.not_after)
    };
    infos.iter().map(tuple).collect()
}

/// Certificates of texts that the admin address shows.
const MAX_SHOWN_TEXTS: usize = 100;

/// Returns the certificates that the admin address shows: those that the config has loaded, and of the texts that blocks
/// named those which expire soon.
pub fn certificate_stats(loaded: &[Certificates]) -> Vec<CertificateStats> {
    let now = now();
    let stats = |info: &CertificateInfo| CertificateStats {
        name: info.name.clone(),
        file: info.source_name.clone(),
        not_after: info.not_after,
        days_left: info.days_left(now),
    };
    let mut all: Vec<_> = loaded.iter().flat_map(|certificates| certificates.infos()).map(stats).collect();
    let mut texts = Vec::new();
    TEXTS.each(|certificates| {
        texts.extend(certificates.infos().iter().filter(|info| info.is_expiring(now)).map(stats));
    });
    texts.sort_by_key(|text| text.not_after);
    texts.truncate(MAX_SHOWN_TEXTS);
    all.extend(texts);
    let mut seen = HashSet::new();
    all.retain(|one| seen.insert((one.name.clone(), one.file.clone(), one.not_after)));
    all
}

/// Certificates that `inspect` names: the log inspects the answer for each connection.
const MAX_INSPECTED: usize = 5;

/// Returns the names of certificates and the days that each is still valid.
fn summary(infos: &[CertificateInfo]) -> String {
    let now = now();
    let named = |info: &CertificateInfo| format!("{} ({} days left)", info.name, info.days_left(now));
    let names: Vec<String> = infos.iter().take(MAX_INSPECTED).map(named).collect();
    let more = infos.len() - names.len();
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

impl RubyCertificates {
    /// `Certificates.read([[path, is_from_glob], …], *options)`: reads files. For the options see `options`.
    fn read(
        ruby: &Ruby,
        paths: Vec<(String, bool)>,
        alpn: Vec<String>,
        min_version: String,
        client: Value,
        is_optional: bool,
        is_strict: bool,
    ) -> Result<Obj<Self>, Error> {
        let files: Vec<_> = paths
            .into_iter()
            .map(|(path, is_from_glob)| CertificatePath { path: path.into(), is_from_glob })
            .collect();
        let options = options(alpn, &min_version, client, is_optional, is_strict);
        let read = move || Certificates::read(&files, &options);
        let certificates = gvl::without_holding_up(ruby, read)?;
        Ok(wrap(ruby, Self(certificates.map_err(|reason| config_error(ruby, "certificates", &reason))?)))
    }

    /// `Certificates.parse(text, *options)`: parses a text, unless one of the last texts was the same. Returns the
    /// certificates, and whether the text was parsed.
    #[allow(clippy::too_many_arguments)]
    fn parse(
        ruby: &Ruby,
        text: RString,
        alpn: Vec<String>,
        min_version: String,
        client: Value,
        is_optional: bool,
        is_strict: bool,
    ) -> Result<(Obj<Self>, bool), Error> {
        let options = options(alpn, &min_version, client, is_optional, is_strict);
        let found = TEXTS.get(&text.to_bytes(), &options);
        let (certificates, is_new) = found.map_err(|reason| config_error(ruby, "certificates", &reason))?;
        Ok((wrap(ruby, Self(certificates)), is_new))
    }

    /// `infos`: what each certificate says.
    fn infos(&self) -> Vec<InfoTuple> {
        describe(self.0.infos())
    }

    /// `inspect`: names and days, but no key.
    fn inspect(&self) -> String {
        format!("#<ProxyMachine::Certificates {}>", summary(self.0.infos()))
    }
}

impl RubyAuthorities {
    /// `Authorities.read(paths, certificate, alpn, min_version, revocation_lists, starttls, verify)`: reads files; those of
    /// the system without paths.
    #[allow(clippy::too_many_arguments)]
    fn read(
        ruby: &Ruby,
        paths: Vec<String>,
        certificate: Option<String>,
        alpn: Vec<String>,
        min_version: String,
        revocation_lists: Vec<String>,
        starttls: Vec<(Option<Bytes>, Bytes)>,
        verifies: bool,
    ) -> Result<Obj<Self>, Error> {
        let files: Vec<_> = paths.into_iter().map(PathBuf::from).collect();
        let options = AuthorityOptions {
            certificate: certificate.map(PathBuf::from),
            alpn: protocols(alpn),
            min_version: to_version(&min_version),
            revocation_lists: revocation_lists.into_iter().map(PathBuf::from).collect(),
            starttls: starttls.into_iter().map(|(send, expect)| Exchange { send, expect }).collect(),
            verifies,
        };
        let authorities = gvl::without_holding_up(ruby, move || Authorities::read(&files, &options))?;
        Ok(wrap(ruby, Self(authorities.map_err(|reason| config_error(ruby, "authorities", &reason))?)))
    }

    /// `with_name(name)`: the same authorities with the name that a server's certificate must have; nil if it is no name.
    fn with_name(ruby: &Ruby, this: &Self, name: String) -> Option<Obj<Self>> {
        let name = ServerName::try_from(name).ok()?;
        Some(wrap(ruby, Self(this.0.with_name(name))))
    }

    /// `name`: the name that a server's certificate must have; nil for the remote's host.
    fn name(&self) -> Option<String> {
        self.0.name().map(|name| name.to_str().into_owned())
    }

    /// `count`: how many authorities are trusted.
    fn count(&self) -> usize {
        self.0.count()
    }

    /// `revocation_lists`: when a newer list was to come: `[[file, second since 1970], …]`.
    fn revocation_lists(&self) -> Vec<(String, i64)> {
        self.0.revocation_lists().to_vec()
    }

    /// `verifies?`: whether certificates are verified.
    fn verifies(&self) -> bool {
        self.0.verifies()
    }

    /// `inspect`: names and days, but no key.
    fn inspect(&self) -> String {
        let of_the_system = format!("{} of the system", self.0.count());
        let mut text = format!(
            "#<ProxyMachine::Authorities {}",
            if self.0.infos().is_empty() { of_the_system } else { summary(self.0.infos()) }
        );
        if let Some(name) = self.name() {
            text += &format!(", for {name}");
        }
        if !self.0.verifies() {
            text += ", without verification";
        }
        text + ">"
    }

    /// `infos`: what each certificate of the files says.
    fn infos(&self) -> Vec<InfoTuple> {
        describe(self.0.infos())
    }
}

/// `open_tls_key_log(path)`: opens the file for the keys of TLS connections (nil for none).
fn open_tls_key_log(ruby: &Ruby, path: Option<PathBuf>) -> Result<(), Error> {
    let name = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let opened = gvl::without_holding_up(ruby, move || key_log::open(path.as_deref()))?;
    let failed = |error| format!("cannot write the TLS key log {name}: {}", plain(&error));
    opened.map_err(|error| error::new(ruby, "StartError", failed(error)))
}

/// `reopen_tls_key_log`: reopens the file for the keys of TLS connections.
fn reopen_tls_key_log(ruby: &Ruby) -> Result<(), Error> {
    let failed = |error| format!("cannot write the TLS key log: {}", plain(&error));
    let reopened = gvl::without_holding_up(ruby, key_log::reopen)?;
    reopened.map_err(|error| error::new(ruby, "StartError", failed(error)))
}

/// `ticket_keys`: the secrets of session tickets, for `import_ticket_keys` in the process that takes over. No log
/// may have them.
fn ticket_keys(ruby: &Ruby) -> RString {
    ruby.str_new(&TicketKeys::shared().export())
}

/// `import_ticket_keys(text)`: takes over the secrets of the process before.
fn import_ticket_keys(text: String) {
    // A text of another version leaves the keys as they are: clients then make a full handshake.
    TicketKeys::shared().import(&Zeroizing::new(text));
}

/// `rotate_ticket_keys`: changes to the keys of this moment, for a process that issues no tickets.
fn rotate_ticket_keys() {
    TicketKeys::shared().rotate();
}

/// Returns a frozen object.
fn wrap<T: TypedData>(ruby: &Ruby, data: T) -> Obj<T> {
    let object = ruby.obj_wrap(data);
    object.freeze();
    object
}

fn options(
    alpn: Vec<String>,
    min_version: &str,
    client: Value,
    is_client_optional: bool,
    is_strict: bool,
) -> CertificateOptions {
    CertificateOptions {
        alpn: protocols(alpn),
        min_version: to_version(min_version),
        client: authorities(client),
        is_client_optional,
        is_strict,
    }
}

fn protocols(alpn: Vec<String>) -> Vec<Vec<u8>> {
    alpn.into_iter().map(String::into_bytes).collect()
}

fn to_version(text: &str) -> MinVersion {
    if text == "1.3" { MinVersion::Tls13 } else { MinVersion::Tls12 }
}

fn config_error(ruby: &Ruby, verb: &str, reason: &LoadError) -> Error {
    error::new(ruby, "ConfigError", format!("{verb}: {reason}"))
}

/// Defines the classes.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let proxymachine: RClass = ruby.class_object().const_get("ProxyMachine")?;
    let certificates = proxymachine.define_class("Certificates", ruby.class_object())?;
    certificates.undef_default_alloc_func();
    RubyCertificates::class(ruby);
    certificates.define_singleton_method("read", function!(RubyCertificates::read, 6))?;
    certificates.define_singleton_method("parse", function!(RubyCertificates::parse, 6))?;
    certificates.define_method("inspect", method!(RubyCertificates::inspect, 0))?;
    certificates.define_alias("to_s", "inspect")?;
    certificates.define_method("infos", method!(RubyCertificates::infos, 0))?;
    let authorities = proxymachine.define_class("Authorities", ruby.class_object())?;
    authorities.undef_default_alloc_func();
    RubyAuthorities::class(ruby);
    authorities.define_singleton_method("read", function!(RubyAuthorities::read, 7))?;
    authorities.define_method("inspect", method!(RubyAuthorities::inspect, 0))?;
    authorities.define_alias("to_s", "inspect")?;
    authorities.define_method("with_name", method!(RubyAuthorities::with_name, 1))?;
    authorities.define_method("name", method!(RubyAuthorities::name, 0))?;
    authorities.define_method("count", method!(RubyAuthorities::count, 0))?;
    authorities.define_method("revocation_lists", method!(RubyAuthorities::revocation_lists, 0))?;
    authorities.define_method("verifies?", method!(RubyAuthorities::verifies, 0))?;
    authorities.define_method("infos", method!(RubyAuthorities::infos, 0))?;
    let engine: RClass = proxymachine.const_get("Engine")?;
    engine.define_singleton_method("open_tls_key_log", function!(open_tls_key_log, 1))?;
    engine.define_singleton_method("reopen_tls_key_log", function!(reopen_tls_key_log, 0))?;
    engine.define_singleton_method("ticket_keys", function!(ticket_keys, 0))?;
    engine.define_singleton_method("import_ticket_keys", function!(import_ticket_keys, 1))?;
    engine.define_singleton_method("rotate_ticket_keys", function!(rotate_ticket_keys, 0))?;
    Ok(())
}
