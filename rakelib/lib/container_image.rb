# frozen_string_literal: true

require "json"
require_relative "debian_folder"
require_relative "native_gem"

# The image of Containerfile, built by buildah without a registry: its base is made of a folder of Debian, and imported
# under the name that the Containerfile has.
module ContainerImage
  ROOT = DebianFolder::ROOT
  DIR = File.join(ROOT, "tmp/container")
  BASE = File.read("#{ROOT}/Containerfile")[/^ARG DEBIAN=(\S+)/, 1]
  SUITE = BASE[/:(\w+)-slim/, 1]
  # What debian:trixie-slim leaves out of minbase, and of the packages that are installed later: the rules of its
  # /etc/dpkg/dpkg.cfg.d/docker (https://github.com/debuerreotype/debuerreotype, slimify-excludes).
  SLIM = <<~SH
    for name in doc info linda lintian locale man; do
      echo "path-exclude /usr/share/$name/*"
    done >/etc/dpkg/dpkg.cfg.d/docker
    echo "path-include /usr/share/doc/*/copyright" >>/etc/dpkg/dpkg.cfg.d/docker
    apt-get clean
    rm -rf /var/lib/apt/lists/* /var/log/* /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian
    find /usr/share/doc -type f ! -name copyright -delete
    find /usr/share/doc -type d -empty -delete
  SH

  module_function

  # @return [String] what is missing, as a sentence; nil if nothing is
  def missing
    return DebianFolder.missing if DebianFolder.missing

    absent = %w[buildah runc].reject { |name| system("which", name, out: File::NULL) }
    "#{absent.join(", ")} missing: apt-get install buildah runc" if absent.any?
  end

  # Makes the base image, if there is none.
  def import_base
    return if system(*command("inspect", "--type", "image", BASE), %i[out err] => File::NULL)

    clean = DebianFolder.new(SUITE, parent: "tmp/clean")
    raise "debootstrap failed in #{clean.dir}" unless clean.make

    folder = DebianFolder.new("base", parent: "tmp/container")
    folder.copy(clean)
    raise "cannot shrink #{folder.dir}" unless folder.run("sh", "-c", SLIM)

    container = buildah("from", "scratch").chomp
    buildah("copy", container, folder.dir, "/")
    buildah("commit", "--rm", container, BASE)
    FileUtils.rm_rf(folder.dir)
  end

  # Builds the image.
  # @return [String] its name
  def build
    import_base
    name = "localhost/proxymachine:#{NativeGem.version}"
    # Only the format of Docker has a health check.
    log = File.join(DIR, "build.log")
    built = system(*command("build", "--format", "docker", "--pull-never", "--isolation", "chroot", "--file",
                            "Containerfile", "--ignorefile", ".containerignore", "--tag", name, "."),
                   chdir: ROOT, %i[out err] => log)
    built ? name : raise("buildah failed: #{log}\n#{File.readlines(log).last(20).join}")
  end

  # @return [Hash] the image's configuration: "User", "Cmd" and so on
  def config(name)
    JSON.parse(buildah("inspect", "--type", "image", name)).fetch("Docker").fetch("config")
  end

  # Unpacks the image into the folder "root", beside "config.json".
  def unpack(name)
    container = buildah("from", "--pull-never", name).chomp
    mounted = buildah("mount", container).chomp
    root = Shell.fresh(File.join(DIR, "root"))
    Shell.run("cp", "--archive", "#{mounted}/.", root)
    buildah("umount", container)
    buildah("rm", container)
    File.write("#{DIR}/config.json", JSON.generate(config(name)))
  end

  def buildah(*arguments)
    Shell.run(*command(*arguments))
  end

  # Its storage is in this tree, and apart from that of root's other images.
  def command(*arguments)
    ["buildah", "--root", "#{DIR}/storage", "--runroot", "#{DIR}/run", "--storage-driver", "vfs", *arguments]
  end
end
