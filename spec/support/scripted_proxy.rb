# frozen_string_literal: true

# A proxy whose block evaluates the first line that its client sends, as Ruby. An example so shows in one place what the
# block does and what follows from it. The block answers :noop until the line is complete. `slow_block` is long, because
# a block may take long on a busy machine.
module ScriptedProxy
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

  # The line that routes its client to the backend; `options` are further keys of the answer.
  def route_to(backend, **options)
    "#{{ remote: backend.address, **options }.inspect}\n"
  end
end
