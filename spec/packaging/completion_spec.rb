# frozen_string_literal: true

require "open3"
require "pty"
require_relative "../../rakelib/lib/completion"

# contrib/completion, in the shells themselves.
RSpec.describe "Completion:" do
  dir = Completion::DIR

  # Returns what bash proposes for the last word of a command line.
  def bash(line)
    words = line.split(" ", -1)
    script = <<~SH
      source "$0"
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      compopt() { echo "compopt $*"; }
      _proxymachine proxymachine "${@: -1}" "${@: -2:1}"
      printf '%s\\n' "${COMPREPLY[@]}"
    SH
    file = "#{Completion::DIR}/proxymachine.bash"
    output, = Open3.capture2e("bash", "--norc", "-c", script, file, *words, chdir: @dir)
    output.lines(chomp: true)
  end

  # Types a command line and TAB into zsh, and returns what the terminal shows when the condition holds.
  def zsh(line, expected)
    environment = { "HOME" => @dir, "TERM" => "dumb", "COLUMNS" => "200" }
    PTY.spawn(environment, "zsh", "-f", "-i", chdir: @dir) do |output, input|
      input.puts "fpath=(#{Completion::DIR} $fpath); autoload -U compinit; compinit -D -u; setopt no_beep; echo re''ady"
      read_until(output, "ready")
      input.write("#{line}\t\t")
      shown = read_until(output, expected)
      input.write("\u0003exit\n")
      return shown
    end
  end

  def read_until(output, expected)
    shown = +""
    eventually do
      shown << output.read_nonblock(4096)
      shown.match?(expected)
    rescue IO::WaitReadable
      false
    end
    shown
  end

  around { |example| Dir.mktmpdir { |made| (@dir = made) && example.run } }

  it "is up to date: `rake completion` writes the same files" do
    Completion.files.each { |name, text| expect(File.read("#{dir}/#{name}")).to eq(text), name }
  end

  it "has a flag for each of --help" do
    flags = Open3.capture2e(*ProxyProcess.command, "--help").first.scan(/^ +(?:(-\w), )?(--[\w-]+)/).flatten.compact
    expect(bash("proxymachine -")).to match_array flags
    expect(bash("proxymachine -c a.rb --")).to match_array flags.grep(/\A--/)
    flags.each { |flag| expect(File.read("#{dir}/_proxymachine")).to match(/[')*]#{flag}[=+]?\[/) }
  end

  it "bash: completes commands, their words, and the values of flags" do
    FileUtils.touch("#{@dir}/router.rb")
    expect(bash("proxymachine ")).to eq %w[explain init top]
    expect(bash("proxymachine explain s")).to eq TerminationCodes.all.keys.grep(/\As/)
    expect(bash("proxymachine top --i")).to eq %w[--interval]
    expect(bash("proxymachine --log-format t")).to eq %w[text]
    expect(bash("proxymachine --log-level =")).to eq %w[debug info warn error]
    expect(bash("proxymachine --log-level = w")).to eq %w[warn]
    expect(bash("proxymachine -c ro")).to eq ["compopt -o filenames", "router.rb"]
    expect(bash("proxymachine init ro")).to eq ["compopt -o filenames", "router.rb"]
    expect(bash("proxymachine --port ")).to eq [""]
  end

  it "zsh: completes commands, their words, and the values of flags" do
    FileUtils.touch("#{@dir}/router.rb")
    expect(zsh("proxymachine --log-level=", /debug.*error.*info.*warn/m)).not_to include("_arguments:")
    zsh("proxymachine -c ro", /router\.rb/)
    zsh("proxymachine ", /explain.*init.*top/m)
    zsh("proxymachine explain s", /sC.*sD.*sH/m)
    zsh("proxymachine top --in", /--interval/)
  end
end
