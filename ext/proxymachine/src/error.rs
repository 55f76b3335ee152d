//! Ruby exceptions of the extension. Their classes are defined and documented in Ruby.

use magnus::{Error, ExceptionClass, Module, RClass, Ruby};

/// Returns an instance of `ProxyMachine::<class>`.
pub fn new(ruby: &Ruby, class: &str, message: impl Into<String>) -> Error {
    let class = ruby
        .class_object()
        .const_get::<_, RClass>("ProxyMachine")
        .and_then(|proxymachine| proxymachine.const_get::<_, ExceptionClass>(class));
    match class {
        Ok(class) => Error::new(class, message.into()),
        Err(error) => error,
    }
}

/// Returns a `StartError` for an error of the engine.
pub fn start(ruby: &Ruby, error: &proxymachine_engine::Error) -> Error {
    new(ruby, "StartError", error.to_string())
}
