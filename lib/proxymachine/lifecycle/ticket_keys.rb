# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # Passes the secrets of session tickets to the next process, so that clients can resume their TLS sessions. Unlike
    # the environment, no other process can read a pipe.
    # @api private
    module TicketKeys
      # Bytes that a pipe takes without a reader, at least: pipe(7).
      SIZE = 4096
      private_constant :SIZE

      module_function

      # @return [IO] a pipe with the secrets
      # @raise [SystemCallError] if there is no pipe
      def export
        reader, writer = IO.pipe
        keys = Engine.ticket_keys
        writer.syswrite(keys)
        writer.close
        reader
      ensure
        erase(keys) if keys
      end

      # @param descriptor [Integer] of the pipe
      # @return [String] the secrets, for {import}
      def read(descriptor)
        IO.open(descriptor) { |pipe| pipe.sysread(SIZE) }
      end

      # Gives them to the engine, and overwrites them.
      # @param keys [String]
      def import(keys)
        Engine.import_ticket_keys(keys)
        erase(keys)
      end

      # Overwrites them in the memory of this process.
      # @param keys [String]
      def erase(keys)
        keys.bytesize.times { |index| keys.setbyte(index, 0) }
      end
    end
  end
end
