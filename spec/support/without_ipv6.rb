# frozen_string_literal: true

# The environment of a machine whose kernel has no IPv6: a library for LD_PRELOAD refuses IPv6 sockets.
module WithoutIPv6
  SOURCE = <<~C
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <sys/socket.h>

    int socket(int domain, int type, int protocol) {
      if (domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
      }
      return ((int (*)(int, int, int)) dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
    }
  C

  module_function

  # Builds the library in `dir` and returns the environment; nil without a C compiler.
  def environment(dir)
    source = File.join(dir, "without_ipv6.c")
    library = File.join(dir, "without_ipv6.so")
    File.write(source, SOURCE)
    built = system("cc", "-shared", "-fPIC", "-o", library, source, "-ldl", %i[out err] => File::NULL)
    built ? { "LD_PRELOAD" => library } : nil
  end
end
