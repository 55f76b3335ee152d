# frozen_string_literal: true

# A Rust that has sanitizers: the nightly one, else the stable one, told that it may use what is not stable.
module Unstable
  module_function

  # The environment, and the beginning, of a command.
  def cargo
    nightly? ? [{}, "cargo", "+nightly"] : [{ "RUSTC_BOOTSTRAP" => "1" }, "cargo"]
  end

  def nightly?
    works?("cargo", "+nightly", "--version")
  end

  # Whether the sources of its standard library are there, to be built once more with a sanitizer.
  def sources?
    root = IO.popen(["rustc", *("+nightly" if nightly?), "--print", "sysroot"], &:read).chomp
    Dir.exist?("#{root}/lib/rustlib/src/rust/library")
  end

  def miri?
    works?("cargo", "+nightly", "miri", "--version")
  end

  def works?(*command)
    system(*command, out: File::NULL, err: File::NULL)
  end
end
