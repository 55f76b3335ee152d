# frozen_string_literal: true

# A Rust with sanitizers: nightly if installed, otherwise stable with RUSTC_BOOTSTRAP.
module Unstable
  module_function

  # Returns the environment and the beginning of a cargo command.
  def cargo
    nightly? ? [{}, "cargo", "+nightly"] : [{ "RUSTC_BOOTSTRAP" => "1" }, "cargo"]
  end

  def nightly?
    works?("cargo", "+nightly", "--version")
  end

  # Whether the sources of the standard library are installed, so that it can be built with a sanitizer.
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
