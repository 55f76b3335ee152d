# frozen_string_literal: true

require_relative "random_choice"

# A random value within an answer.
class RandomValue
  include RandomChoice

  ENCODINGS = [Encoding::BINARY, Encoding::US_ASCII, Encoding::UTF_8, Encoding::UTF_16LE, Encoding::UTF_32BE,
               Encoding::Shift_JIS, Encoding::UTF_7, Encoding::ISO_8859_1].freeze
  # Characters that end a line, hide, colour or reverse text, and bytes that are not characters.
  ODD = ["\n", "\r", "\0", "\e[31m", "\u0085", "\u2028", "\u202e", "\u009b", "\u00a0", "\ufeff", "\u{e0001}", "é", "日本",
         "\xff", "\\", '"', "\t", "\x7f"].freeze
  # Host names that need no name server, and addresses.
  HOSTS = ["127.0.0.1", "127.0.0.1", "localhost", "[::1]", "::1", "::ffff:127.0.0.1", "127.1", "0x7f.1", "0.0.0.0",
           "", " ", "[", "]", "[]", "a b", "x" * 300, "127.0.0.1:1"].freeze
  SECONDS = [0.01, 0.05, 0.2, 1, 5, 0, -1, -0.0, Float::NAN, Float::INFINITY, -Float::INFINITY, 1e300, 1e-320,
             2**64, 10**400, Rational(1, 3), Complex(1, 2), "0.2", "soon", nil, false, true, :soon, [], {},
             Time.at(0)].freeze

  def value(depth = 3)
    return one_of(text, seconds) if depth.zero?

    case @random.rand(9)
    when 0..2 then text
    when 3..4 then seconds
    when 5 then Array.new(@random.rand(4)) { value(depth - 1) }
    when 6 then Array.new(@random.rand(4)) { [value(0), value(depth - 1)] }.to_h
    when 7 then odd_object
    else HostileBehavior.new(@random).inject_into(one_of(Object, BasicObject, String, Array, Hash).new)
    end
  end

  def text
    text = Array.new(@random.rand(6)) { one_of("word", "127.0.0.1", ":", *ODD) }.join
    text *= one_of(1_000, 100_000) / (text.bytesize + 1) if one_in?(20)
    text = relabel(text, one_of(*ENCODINGS)) if one_in?(4)
    one_in?(20) ? as_symbol(text) : text
  end

  def seconds
    one_of(*SECONDS)
  end

  def remote
    case @random.rand(20)
    when 0..11 then backend
    when 12 then as_symbol(backend)
    when 13 then backend.encode(one_of(Encoding::UTF_16LE, Encoding::UTF_32BE, Encoding::US_ASCII))
    when 14..18 then odd_remote
    else value
    end
  end

  private

  # Ruby 3.1 corrupts a String of up to 23 bytes that gets an encoding whose NUL has several bytes, once its copy gets
  # another encoding and is changed, or becomes a Symbol.
  def relabel(text, encoding)
    text += " " * 24 unless encoding.ascii_compatible?
    text.dup.force_encoding(encoding)
  end

  def backend
    "127.0.0.1:#{port}"
  end

  def port
    ENV.fetch("FUZZ_PORTS").split.sample(random: @random)
  end

  def odd_remote
    odd_port = one_of(port, port, " #{port} ", "0#{port}", "+#{port}", port.tr("0-9", "٠-٩"), "0", "65536", "-1", "")
    parts = [one_of(*HOSTS), one_of(":", ":", ":", "", "::"), odd_port]
    parts.insert(@random.rand(4), one_of(*ODD)) if one_in?(2)
    parts.join
  end

  def odd_object
    return deep if one_in?(30)

    one_of(Object.new, BasicObject.new, Class, Kernel.method(:puts), -> {}, 1..2, Thread.current, ENV, $stdout, :noop,
           Struct.new(:remote).new(backend), Random.new(1), binding)
  end

  # An Array nested so deeply that `inspect` overflows the stack.
  def deep
    20_000.times.reduce([]) { |inner, _| [inner] }
  end

  def as_symbol(text)
    text.to_sym
  rescue EncodingError
    text
  end
end
