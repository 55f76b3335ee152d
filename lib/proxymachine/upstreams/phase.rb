# frozen_string_literal: true

class ProxyMachine
  module Upstreams
    # A phase of an upstream's servers, as the processes tell each other. Its members:
    #
    # * kind: "starting", "started", "stopping" or "stopped".
    # * upstream: the name.
    # * is_done: whether the start or the stop has succeeded; nil if the stop was not tried.
    # * starts: how many starts have ended.
    # * time: when the last of them has ended (Log.now, which is the same for all processes).
    # * process: the only process that is concerned; nil if all are.
    # @api private
    Phase = Struct.new(:kind, :upstream, :is_done, :starts, :time, :process) do
      # Whether this process is concerned.
      def for_this_process? = process.nil? || process == Process.pid

      # Whether the phase replaces the one before. If a stop was not tried, the phase before continues.
      def change? = kind != "stopped" || !is_done.nil?

      # Whether a start or stop continues.
      def open? = %w[starting stopping].include?(kind)
    end
  end
end
