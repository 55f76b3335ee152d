//! The sniffers for Ruby: `ProxyMachine::Sniffers`, private to the gem. lib/proxymachine/sniffers has the
//! classes of what is found, and the documentation.

use std::fmt::Display;

use magnus::value::{LazyId, ReprValue};
use magnus::{
    Class, Error, IntoValue, Module, Object, RArray, RClass, RHash, RString, Ruby, StaticSymbol, Value,
    function,
};
use proxymachine_sniff::host::Authority;
use proxymachine_sniff::{Miss, git, http, postgres, socks, ssh, tls};

static INCOMPLETE: LazyId = LazyId::new("incomplete");

/// Looks at the bytes of `data` with `sniff`, and makes the answer of what it found with `make`; otherwise
/// answers `:incomplete` or nil.
#[allow(unsafe_code)]
fn answer<T>(
    ruby: &Ruby,
    data: Value,
    sniff: impl FnOnce(&[u8]) -> Result<T, Miss>,
    make: impl FnOnce(T) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let Some(string) = RString::from_value(data) else {
        let message =
            format!("expected the bytes received so far, a String, not an instance of {}", data.class());
        return Err(Error::new(ruby.exception_type_error(), message));
    };
    // SAFETY: `data` is an argument of the running method, so that Ruby neither frees nor moves it. With
    // these bytes at hand `sniff` only makes Strings, Arrays and Hashes: that runs no Ruby code, here or in
    // another thread, that could change them. What may run some is left to `make`.
    let found = sniff(unsafe { string.as_slice() });
    match found {
        Ok(found) => make(found),
        Err(Miss::Incomplete) => Ok(StaticSymbol::from(LazyId::get_inner_with(&INCOMPLETE, ruby)).as_value()),
        Err(Miss::Foreign) => Ok(ruby.qnil().as_value()),
    }
}

/// A frozen String: in UTF-8 if it is that, so that it is a key like a literal's; otherwise binary.
fn text(ruby: &Ruby, bytes: &[u8]) -> Value {
    let string = match std::str::from_utf8(bytes) {
        Ok(text) => ruby.str_new(text),
        Err(_) => ruby.str_from_slice(bytes),
    };
    string.freeze();
    string.as_value()
}

fn shown(ruby: &Ruby, value: impl Display) -> Value {
    text(ruby, value.to_string().as_bytes())
}

fn optional(ruby: &Ruby, bytes: Option<&[u8]>) -> Value {
    bytes.map_or(ruby.qnil().as_value(), |bytes| text(ruby, bytes))
}

fn host_and_port(ruby: &Ruby, authority: Option<Authority<'_>>) -> [Value; 2] {
    let host = optional(ruby, authority.map(|authority| authority.host.as_bytes()));
    [host, authority.and_then(|authority| authority.port).into_value_with(ruby)]
}

/// A frozen Array.
fn list(ruby: &Ruby, values: impl Iterator<Item = Value>) -> Value {
    let list: RArray = ruby.ary_from_iter(values);
    list.freeze();
    list.as_value()
}

/// A frozen Hash of Strings. What has been there under the same name gives way to what `both` makes of the two.
fn table<'a>(
    ruby: &Ruby,
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    both: impl Fn(RString, &[u8]) -> Value,
) -> Value {
    let table: RHash = ruby.hash_new();
    for (name, value) in pairs {
        let name = text(ruby, name);
        let value = match table.get(name).and_then(RString::from_value) {
            Some(before) => both(before, value),
            None => text(ruby, value),
        };
        // A Hash of our own takes a String as key without asking anybody; it can only fail for lack of memory.
        let _ = table.aset(name, value);
    }
    table.freeze();
    table.as_value()
}

fn tls(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let hello = tls::client_hello(data)?;
        let version = |version| match tls::version_name(version) {
            Some(name) => text(ruby, name.as_bytes()),
            None => shown(ruby, format_args!("{version:#06x}")),
        };
        let sni = optional(ruby, hello.sni().map(str::as_bytes));
        let alpn = list(ruby, hello.alpn().map(|name| text(ruby, name)));
        Ok([sni, alpn, list(ruby, hello.versions().map(version))])
    };
    answer(ruby, data, sniff, |values| class.new_instance(values))
}

fn http(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let nil = ruby.qnil().as_value();
        let request = match http::request(data)? {
            http::Opening::Request(request) => request,
            http::Opening::Http2 => {
                let size = http::PREFACE.len().into_value_with(ruby);
                let headers = table(ruby, std::iter::empty(), |before, _| before.as_value());
                return Ok([nil, nil, nil, text(ruby, b"2"), nil, nil, nil, headers, size]);
            }
        };
        let authority = request.authority();
        let [host, port] = host_and_port(ruby, authority);
        // RFC 9110, section 5.3: the values of repeated lines make one list.
        let joined =
            |before: RString, value: &[u8]| text(ruby, &[&before.to_bytes()[..], b", ", value].concat());
        let names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let values = request.headers.iter().map(|(_, value)| *value);
        let headers = table(ruby, names.iter().map(String::as_bytes).zip(values), joined);
        let values = [
            text(ruby, request.method.as_bytes()),
            text(ruby, request.target.as_bytes()),
            optional(ruby, request.path().map(str::as_bytes)),
            shown(ruby, format_args!("1.{}", request.minor_version)),
            host,
            port,
            optional(ruby, authority.map(|authority| authority.text.as_bytes())),
            headers,
            request.size.into_value_with(ruby),
        ];
        Ok(values)
    };
    answer(ruby, data, sniff, |values| class.new_instance(values))
}

fn postgres(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let found = postgres::startup(data)?;
        let nil = ruby.qnil().as_value();
        let mut version = nil;
        let mut client = [nil; 3];
        let mut canceled = [nil; 2];
        let kind = match found.message {
            postgres::Message::Startup(parameters) => {
                version = shown(ruby, format_args!("3.{}", parameters.minor_version));
                let all = table(ruby, parameters.iter(), |_, last| text(ruby, last));
                client = [text(ruby, parameters.user()), text(ruby, parameters.database()), all];
                "startup"
            }
            postgres::Message::Cancel { process_id, key } => {
                canceled = [process_id.into_value_with(ruby), ruby.str_from_slice(key).as_value()];
                canceled[1].freeze();
                "cancel"
            }
            postgres::Message::SslRequest => "ssl_request",
            postgres::Message::GssEncRequest => "gssenc_request",
        };
        let kind = ruby.sym_new(kind).as_value();
        let [user, database, parameters] = client;
        let [process_id, key] = canceled;
        let [offset, size] = [found.offset, found.size].map(|bytes| bytes.into_value_with(ruby));
        Ok([kind, user, database, parameters, version, process_id, key, offset, size])
    };
    answer(ruby, data, sniff, |values| class.new_instance(values))
}

fn socks(ruby: &Ruby, data: Value, greeting: RClass, request: RClass) -> Result<Value, Error> {
    enum Said {
        Greeting(Value),
        Request([Value; 6]),
    }
    let sniff = |data: &[u8]| {
        let found = match socks::request(data)? {
            socks::Said::Request(found) => found,
            socks::Said::Greeting { methods } => {
                let numbers = methods.iter().map(|method| method.into_value_with(ruby));
                return Ok(Said::Greeting(list(ruby, numbers)));
            }
        };
        let command = match found.command {
            socks::Command::Connect => "connect",
            socks::Command::Bind => "bind",
            socks::Command::UdpAssociate => "udp_associate",
        };
        Ok(Said::Request([
            found.version.into_value_with(ruby),
            ruby.sym_new(command).as_value(),
            shown(ruby, found.host),
            found.port.into_value_with(ruby),
            optional(ruby, found.user),
            found.size.into_value_with(ruby),
        ]))
    };
    answer(ruby, data, sniff, |said| match said {
        Said::Greeting(methods) => greeting.new_instance((methods,)),
        Said::Request(values) => request.new_instance(values),
    })
}

fn ssh(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let banner = ssh::banner(data)?;
        let version = text(ruby, banner.version.as_bytes());
        let software = text(ruby, banner.software.as_bytes());
        let comments = optional(ruby, banner.comments);
        Ok([version, software, comments, banner.size.into_value_with(ruby)])
    };
    answer(ruby, data, sniff, |values| class.new_instance(values))
}

fn git(ruby: &Ruby, data: Value, class: RClass) -> Result<Value, Error> {
    let sniff = |data: &[u8]| {
        let request = git::request(data)?;
        let [host, port] = host_and_port(ruby, request.authority);
        let pairs = request.parameters().map(|word| match word.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&word[..equals], &word[equals + 1..]),
            None => (word, &word[..0]),
        });
        let parameters = table(ruby, pairs, |_, last| text(ruby, last));
        let command = text(ruby, request.command.as_bytes());
        let path = text(ruby, request.path);
        Ok([command, path, host, port, parameters, request.size.into_value_with(ruby)])
    };
    answer(ruby, data, sniff, |values| class.new_instance(values))
}

/// Defines the module.
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
