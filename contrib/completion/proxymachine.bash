# Completes the command line of proxymachine in bash. Written by `rake completion` from the flags of --help.
# Install it as /usr/share/bash-completion/completions/proxymachine, or read it with `source`.

_proxymachine() {
  local word=$2 flag=$3 command= how=()
  # bash splits --log-format=json into three words.
  if [[ $word == "=" ]]; then
    word=
  elif [[ $flag == "=" ]]; then
    flag=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD > 1)); then command=${COMP_WORDS[1]}; fi

  # The arguments of compgen.
  case $command in
    explain) how=(-W "-- CR CC CQ CH CD SC sC sQ SH sH SD sD DH DD cH cD cR PR RL PL XR AR RR PP CT cT RC KR KC KH KD IR IC IH ID") ;;
    init)
      case $flag in
        init) if [[ $word == -* ]]; then how=(-W "--help"); else how=(-f); fi ;;
        *) how=(-W "--help") ;;
      esac
      ;;
    top)
      case $flag in
        --admin | --interval) how=() ;;
        *) how=(-W "--admin --interval --once --help") ;;
      esac
      ;;
    *)
      case $flag in
        -c | --config | --pidfile | --access-log | --tls-key-log | --route) how=(-f) ;;
        -h | --host) how=(-A hostname) ;;
        -p | --port | --bind | --workers | --threads | --max-connections | --max-connections-per-source | --connection-rate-per-source | --exempt-sources | --max-preread | --decision-timeout | --tls-handshake-timeout | --idle-timeout | --half-closed-timeout | --keepalive | --user-timeout | --slow-block | --upgrade-timeout | --admin | --listener) how=() ;;
        --user) how=(-u) ;;
        --group) how=(-g) ;;
        --record) how=(-d) ;;
        --log-format) how=(-W "text json") ;;
        --log-level) how=(-W "debug info warn error") ;;
        proxymachine | */proxymachine)
          how=(-W "explain init top")
          if [[ $word == -* ]]; then how=(-W "-c --config -h --host -p --port --bind --user --group --workers --pidfile --threads --max-connections --max-connections-per-source --connection-rate-per-source --exempt-sources --max-preread --decision-timeout --tls-handshake-timeout --idle-timeout --half-closed-timeout --keepalive --user-timeout --slow-block --upgrade-timeout --access-log --record --dontlognull --log-format --log-connection-id --log-level --tls-key-log --admin -t --check --route --every-cut --listener --help --version"); fi
          ;;
        *) how=(-W "-c --config -h --host -p --port --bind --user --group --workers --pidfile --threads --max-connections --max-connections-per-source --connection-rate-per-source --exempt-sources --max-preread --decision-timeout --tls-handshake-timeout --idle-timeout --half-closed-timeout --keepalive --user-timeout --slow-block --upgrade-timeout --access-log --record --dontlognull --log-format --log-connection-id --log-level --tls-key-log --admin -t --check --route --every-cut --listener --help --version") ;;
      esac
      ;;
  esac

  COMPREPLY=()
  if ((${#how[@]} == 0)); then return; fi
  if [[ ${how[0]} == -[df] ]]; then compopt -o filenames; fi
  mapfile -t COMPREPLY < <(compgen "${how[@]}" -- "$word")
}
complete -F _proxymachine proxymachine
