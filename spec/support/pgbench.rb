# frozen_string_literal: true

require_relative "postgres_cluster"

# The real pgbench. Each of its transactions is one statement on a connection of its own (--connect).
class Pgbench < Child
  # Debian's wrapper in the PATH chooses a version by itself.
  PROGRAM = PostgresCluster::BINARIES ? File.join(PostgresCluster::BINARIES, "pgbench") : "pgbench"

  # `options` are pgbench's, such as "--client=100".
  def initialize(port, statement, *options)
    dir = Dir.mktmpdir("proxymachine-pgbench")
    File.write(File.join(dir, "script"), "#{statement};\n")
    super(Psql::ENVIRONMENT, PROGRAM, "--connect", "--no-vacuum", "--file=#{dir}/script", *options,
          "--host=127.0.0.1", "--port=#{port}", "--username=postgres", "postgres", dir: dir)
  end

  # The number of transactions in the report.
  def transactions
    stdout[/actually processed: (\d+)/, 1].to_i
  end
end
