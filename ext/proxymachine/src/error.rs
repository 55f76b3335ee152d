//! Start-up failures become Ruby exceptions. The classes are defined in Ruby, with their documentation.

use magnus::{Error, ExceptionClass, Module, RClass, Ruby};

/// An instance of `ProxyMachine::<class>`.
pub fn new(ruby: &Ruby, class: &str, message: impl Into<String>) -> Error {
    let found = ruby
        .class_object()
        .const_get::<_, RClass>("ProxyMachine")
        .and_then(|proxymachine| proxymachine.const_get::<_, ExceptionClass>(class));
    match found {
        Ok(class) => Error::new(class, message.into()),
        Err(error) => error,
    }
}

/// What kept the engine from starting.
pub fn start(ruby: &Ruby, error: &proxymachine_engine::Error) -> Error {
    new(ruby, "StartError", error.to_string())
}
