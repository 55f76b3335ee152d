# frozen_string_literal: true

# Starts a proxy with a config from examples/. These configs read their routes from the environment.
module ExampleConfig
  module_function

  def start(name, environment, *arguments)
    path = File.join(ProxyProcess::ROOT, "examples", "#{name}.rb")
    ProxyProcess.start("", args: ["-c", path, "-h", "127.0.0.1", "-p", "0", *arguments], env: environment)
  end
end
