# frozen_string_literal: true

# A proxy whose block does what the first line of its client says, in Ruby. So an example shows in one place what the
# block does and what comes of it. Until the line is complete, the block waits for more. It may take long, as on a busy
# machine anything does.
module Puppet
  CONFIG = <<~'RUBY'
    slow_block 3600
    proxy { |data| (line = data[/\A.*\n/]) ? eval(line) : { :noop => true } }
    proxy_connect_error { |remote| puts "connect error with #{remote}" }
    proxy_inactivity_error { |remote| puts "inactivity with #{remote}" }
  RUBY

  module_function

  # `more` is the rest of the config.
  def start(more = "", **options)
    ProxyProcess.start(CONFIG + more, **options)
  end

  # The line that sends a client there; options as in the block's answer.
  def to(backend, **options)
    "#{{ remote: backend.address, **options }.inspect}\n"
  end
end
