//! The sniffers for Ruby: `ProxyMachine::Sniffers`, private to the gem. lib/proxymachine/sniffers has the
//! classes of the messages, and their documentation.

use std::fmt::Display;

use magnus::value::{LazyId, ReprValue};
use magnus::{
    Class, Error, IntoValue, Module, Object, RArray, RClass, RHash, RString, Ruby, StaticSymbol, Value,
    function,
};
use proxymachine_sniff::host::Authority;
use proxymachine_sniff::{SniffError, git, http, postgres, socks, ssh, tls};

static INCOMPLETE: LazyId = LazyId::new("incomplete");

/// Calls `sniff` with the bytes of `data` and `make` with its result; returns `:incomplete` or nil without
/// one.
#[allow(unsafe_code)]
fn call<T>(
    ruby: &Ruby,
    data: Value,
    sniff: impl FnOnce(&[u8]) -> Result<T, SniffError>,
    make: impl FnOnce(T) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let Some(string) = RString::from_value(data) else {
        let message =
            format!("expected the bytes received so far, a String, not an instance of {}", data.class());
        return Err(Error::new(ruby.exception_type_error(), message));
    };
    // SAFETY: `data` is an argument of the running method, so that Ruby neither frees nor moves it. While
    // `sniff` has its bytes, it only creates Strings, Arrays and Hashes: that runs no Ruby code, in this
    // thread or another, that could change them. `make` may run Ruby code, and has no access to the bytes.
    let found = sniff(unsafe { string.as_slice() });
    match found {
        Ok(found) => make(found),
        Err(SniffError::Incomplete) => {
            Ok(StaticSymbol::from(LazyId::get_inner_with(&INCOMPLETE, ruby)).as_value())
        }
        Err(SniffError::Mismatch) => Ok(ruby.qnil().as_value()),
    }
}

/// Creates a frozen String: in UTF-8 if the bytes are valid UTF-8, so that it equals a literal as a Hash key;
/// otherwise binary.
fn string(ruby: &Ruby, bytes: &[u8]) -> Value {
    let string = match std::str::from_utf8(bytes) {
        Ok(text) => ruby.str_new(text),
        Err(_) => ruby.str_from_slice(bytes),
    };
    string.freeze();
    string.as_value()
}

fn display(ruby: &Ruby, value: impl Display) -> Value {
    string(ruby, value.to_string().as_bytes())
}

fn optional_string(ruby: &Ruby, bytes: Option<&[u8]>) -> Value {
    bytes.map_or(ruby.qnil().as_value(), |bytes| string(ruby, bytes))
}

/// Creates the normal form and the text as the client wrote it. They are one String if they are equal.
fn normal_and_raw(ruby: &Ruby, normal: impl Display, raw: &[u8]) -> [Value; 2] {
    let normal = normal.to_string();
    let value = string(ruby, normal.as_bytes());
    [value, if normal.as_bytes() == raw { value } else { string(ruby, raw) }]
}

/// Creates host, port and the authority as the client wrote it.
fn authority_values(ruby: &Ruby, authority: Option<Authority<'_>>) -> [Value; 3] {
    let Some(Authority { text, host, port }) = authority else { return [ruby.qnil().as_value(); 3] };
    let [host, text] = normal_and_raw(ruby, host, text.as_bytes());
    [host, port.into_value_with(ruby), text]
}

/// Creates a frozen Array.
fn array(ruby: &Ruby, values: impl Iterator<Item = Value>) -> Value {
    let array: RArray = ruby.ary_from_iter(values);
    array.freeze();
    array.as_value()
}

/// Creates a frozen Hash of Strings. `merge` combines two values of the same name.
fn hash<'a>(
    ruby: &Ruby,
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    merge: impl Fn(RString, &[u8]) -> Value,
) -> Value {
    let hash: RHash = ruby.hash_new();
    for (name, value) in pairs {
        let name = string(ruby, name);
        let value = match hash.get(name).and_then(RString::from_value) {
            Some(before) => merge(before, value),
            None => string(ruby, value),
        };
        // Storing under a String key runs no Ruby code; it fails only for lack of memory.
        let _ = hash.aset(name, value);
    }
    hash.freeze();
    hash.as_value()
}

fn tls(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let hello = tls::client_hello(data)?;
        let version = |version| match tls::version_name(version) {
            Some(name) => string(ruby, name.as_bytes()),
            None => display(ruby, format_args!("{version:#06x}")),
        };
        let [sni, raw_sni] = match (hello.sni(), hello.raw_sni()) {
            (Some(name), Some(raw)) => normal_and_raw(ruby, name, raw),
            (_, raw) => [ruby.qnil().as_value(), optional_string(ruby, raw)],
        };
        let alpn = array(ruby, hello.alpn().map(|name| string(ruby, name)));
        Ok([sni, alpn, array(ruby, hello.versions().map(version)), raw_sni])
    };
    call(ruby, data, sniff, |values| class.new_instance(values))
}

fn http(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let nil = ruby.qnil().as_value();
        let request = match http::request(data)? {
            http::Message::Request(request) => request,
            http::Message::Http2Preface => {
                let size = http::HTTP2_PREFACE.len().into_value_with(ruby);
                let headers = hash(ruby, std::iter::empty(), |before, _| before.as_value());
                return Ok([nil, nil, nil, string(ruby, b"2"), nil, nil, nil, headers, size]);
            }
        };
        let [host, port, authority] = authority_values(ruby, request.authority());
        // RFC 9110, section 5.3: the values of repeated lines form one list.
        let joined =
            |before: RString, value: &[u8]| string(ruby, &[&before.to_bytes()[..], b", ", value].concat());
        let names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let values = request.headers.iter().map(|(_, value)| *value);
        let headers = hash(ruby, names.iter().map(String::as_bytes).zip(values), joined);
        let values = [
            string(ruby, request.method.as_bytes()),
            string(ruby, request.target),
            optional_string(ruby, request.path()),
            display(ruby, format_args!("1.{}", request.minor_version)),
            host,
            port,
            authority,
            headers,
            request.size.into_value_with(ruby),
        ];
        Ok(values)
    };
    call(ruby, data, sniff, |values| class.new_instance(values))
}

fn postgres(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let found = postgres::startup(data)?;
        let nil = ruby.qnil().as_value();
        let mut version = nil;
        let mut startup = [nil; 3];
        let mut cancel = [nil; 2];
        let kind = match found.message {
            postgres::Message::Startup(parameters) => {
                version = display(ruby, format_args!("3.{}", parameters.minor_version));
                let all = hash(ruby, parameters.iter(), |_, last| string(ruby, last));
                startup = [string(ruby, parameters.user()), string(ruby, parameters.database()), all];
                "startup"
            }
            postgres::Message::Cancel { process_id, key } => {
                cancel = [process_id.into_value_with(ruby), ruby.str_from_slice(key).as_value()];
                cancel[1].freeze();
                "cancel"
            }
            postgres::Message::SslRequest => "ssl_request",
            postgres::Message::GssEncRequest => "gssenc_request",
        };
        let kind = ruby.sym_new(kind).as_value();
        let [user, database, parameters] = startup;
        let [process_id, key] = cancel;
        let [offset, size] = [found.offset, found.size].map(|bytes| bytes.into_value_with(ruby));
        Ok([kind, user, database, parameters, version, process_id, key, offset, size])
    };
    call(ruby, data, sniff, |values| class.new_instance(values))
}

fn socks(ruby: &Ruby, data: Value, greeting: RClass, request: RClass) -> Result<Value, Error> {
    enum Values {
        Greeting(Value),
        Request([Value; 7]),
    }
    let sniff = |data: &[u8]| {
        let found = match socks::request(data)? {
            socks::Message::Request(found) => found,
            socks::Message::Greeting { methods } => {
                let numbers = methods.iter().map(|method| method.into_value_with(ruby));
                return Ok(Values::Greeting(array(ruby, numbers)));
            }
        };
        let command = match found.command {
            socks::Command::Connect => "connect",
            socks::Command::Bind => "bind",
            socks::Command::UdpAssociate => "udp_associate",
        };
        let [host, raw_host] = match found.host_text {
            Some(text) => normal_and_raw(ruby, found.host, text),
            None => [display(ruby, found.host); 2],
        };
        Ok(Values::Request([
            found.version.into_value_with(ruby),
            ruby.sym_new(command).as_value(),
            host,
            found.port.into_value_with(ruby),
            optional_string(ruby, found.user),
            found.size.into_value_with(ruby),
            raw_host,
        ]))
    };
    call(ruby, data, sniff, |values| match values {
        Values::Greeting(methods) => greeting.new_instance((methods,)),
        Values::Request(values) => request.new_instance(values),
    })
}

fn ssh(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let banner = ssh::banner(data)?;
        let version = string(ruby, banner.version.as_bytes());
        let software = string(ruby, banner.software.as_bytes());
        let comments = optional_string(ruby, banner.comments);
        Ok([version, software, comments, banner.size.into_value_with(ruby)])
    };
    call(ruby, data, sniff, |values| class.new_instance(values))
}

fn git(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let request = git::request(data)?;
        let [host, port, authority] = authority_values(ruby, request.authority);
        let pairs =
            request.parameters().map(|parameter| match parameter.iter().position(|&byte| byte == b'=') {
                Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
                None => (parameter, &parameter[..0]),
            });
        let parameters = hash(ruby, pairs, |_, last| string(ruby, last));
        let command = string(ruby, request.command.as_bytes());
        let path = string(ruby, request.path);
        Ok([command, path, host, port, parameters, request.size.into_value_with(ruby), authority])
    };
    call(ruby, data, sniff, |values| class.new_instance(values))
}

/// Defines the module `ProxyMachine::Sniffers`.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let proxymachine: RClass = ruby.class_object().const_get("ProxyMachine")?;
    let sniffers = proxymachine.define_module("Sniffers")?;
    sniffers.define_singleton_method("tls", function!(tls, 2))?;
    sniffers.define_singleton_method("http", function!(http, 2))?;
    sniffers.define_singleton_method("postgres", function!(postgres, 2))?;
    sniffers.define_singleton_method("socks", function!(socks, 3))?;
    sniffers.define_singleton_method("ssh", function!(ssh, 2))?;
    sniffers.define_singleton_method("git", function!(git, 2))?;
    proxymachine.funcall::<_, _, Value>("private_constant", ("Sniffers",))?;
    Ok(())
}
