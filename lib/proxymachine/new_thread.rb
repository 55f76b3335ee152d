# frozen_string_literal: true

class ProxyMachine
  # Starts threads.
  #
  # Ruby 3.3 never runs another thread after the system has refused one (ulimit -u): it has put the new thread among
  # those that are ready to run, and waits for it (native_thread_create_dedicated in Ruby's thread_pthread.c; 3.4
  # corrects it). With that Ruby, a thread is only started if the system has just allowed one.
  # @api private
  module NewThread
    HANGS = RUBY_VERSION.start_with?("3.3.")
    private_constant :HANGS

    # @yield in the thread
    # @return [Thread]
    # @raise [ThreadError] if the system allows no thread
    def self.start(&)
      check
      Thread.new(&)
    end

    # To be called before a method of Ruby that starts a thread, such as Process.detach.
    # @raise [ThreadError] see {start}
    def self.check
      Engine.check_thread_room if HANGS && defined?(Engine)
    end
  end
end
