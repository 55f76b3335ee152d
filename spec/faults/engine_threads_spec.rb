# frozen_string_literal: true

# A defect ends an engine thread: here the runtime panics since epoll_wait(2) fails, which a library for LD_PRELOAD
# makes it do once a file exists.
RSpec.describe "A defect that ends all engine threads:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-spec")
    source, @library, @trigger = %w[broken.c broken.so trigger].map { |name| File.join(@dir, name) }
    File.write(source, <<~C)
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <errno.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/epoll.h>
      #include <sys/prctl.h>
      #include <unistd.h>

      int epoll_wait(int epoll, struct epoll_event *events, int size, int timeout) {
        char thread[16] = "";
        prctl(PR_GET_NAME, thread);
        const char *trigger = getenv("BREAK_EPOLL");
        if (!strncmp(thread, "proxymachine ", 13) && trigger && !access(trigger, F_OK)) {
          errno = EBADF;
          return -1;
        }
        return ((int (*)(int, struct epoll_event *, int, int)) dlsym(RTLD_NEXT, "epoll_wait"))
          (epoll, events, size, timeout < 0 || timeout > 100 ? 100 : timeout);
      }
    C
    skip "no C compiler" unless system("cc", "-shared", "-fPIC", "-o", @library, source, "-ldl", err: File::NULL)
  end
  before { FileUtils.rm_f(@trigger) }
  after(:context) { FileUtils.rm_rf(@dir) }

  def start(**options)
    environment = { "LD_PRELOAD" => @library, "BREAK_EPOLL" => @trigger }
    ProxyProcess.start("proxy { { :close => 'served' } }", env: environment, **options)
  end

  it "the process says so, and fails" do
    proxy = start
    expect(Client.new(proxy.port).write("x").read_all).to eq "served"
    FileUtils.touch(@trigger)
    expect(proxy.wait.exitstatus).to eq 1
    expect(proxy.stderr).to match(/a defect in thread "proxymachine 0"/)
    expect(proxy.stderr).to end_with "proxymachine: all engine threads have ended by a defect\n"
  end

  it "a worker is replaced" do
    proxy = start(workers: 2)
    FileUtils.touch(@trigger)
    eventually { expect(proxy.lines.grep(/\AERROR Worker \d+ .*exit/).size).to be >= 2 }
    FileUtils.rm(@trigger)
    eventually { expect(Client.new(proxy.port).write("x").read_all).to eq "served" }
  end
end
