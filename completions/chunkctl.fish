# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_chunkctl_global_optspecs
    string join \n profile= broker= ca-file= passphrase-fd= json q/quiet no-color h/help V/version
end

function __fish_chunkctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_chunkctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_chunkctl_using_subcommand
    set -l cmd (__fish_chunkctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c chunkctl -n "__fish_chunkctl_needs_command" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_needs_command" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_needs_command" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_needs_command" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_needs_command" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "login" -d 'Sign in: with the browser of this machine, or a code that any browser can confirm'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "logout" -d 'End the session, here and at the broker'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "whoami" -d 'Show who is signed in, and what they may do'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "datasets" -d 'List what you may ask for'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "describe" -d 'Show a dataset\'s columns as you would see them'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "plan" -d 'Say what a fetch would do. Releases nothing'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "fetch" -d 'Fetch a slice of data, with its receipt'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "break-glass" -d 'Fetch in an emergency, without waiting for approval; loud, and reviewed afterwards'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "requests" -d 'List requests: yours, and those that wait for you'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "request" -d 'Show or cancel one request'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "review" -d 'Read what waits for you, and approve or reject it'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "approve" -d 'Approve a request, signed with your key'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "reject" -d 'Reject a request, signed with your key'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "revoke" -d 'Withdraw a request that was approved; running deliveries are cut'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "sessions" -d 'Show what was done under each sign-in, or end one'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "keys" -d 'Show which keys can act in your name, or end one'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "verify" -d 'Check offline that files are what the broker released'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "audit" -d 'Search, export and verify the evidence'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "witness" -d 'Vouch for logs that only grow, on a machine that is not their operator\'s'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "config" -d 'Show or change this machine\'s configuration'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "doctor" -d 'Find out why something does not work'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "demo" -d 'Try everything on this machine, with made-up data'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "man" -d 'Print the manual page, or write all of them'
complete -c chunkctl -n "__fish_chunkctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l issuer -d 'Identity provider to sign in at, where the broker accepts several' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l storage -d 'Where to keep the session' -r -f -a "auto\t'The keyring; without one, an encrypted file; without a passphrase, memory'
keyring\t'The system\'s keyring'
keyutils\t'The Linux kernel\'s keyring, until the next start'
file\t'A file encrypted with a passphrase'
memory\t'Nowhere: every command signs in for itself'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l browser -d 'Sign in with the browser of this machine (the default where the broker prefers it)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l device -d 'Sign in with a code that any browser can confirm (the default elsewhere)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l ci -d 'Sign a CI job in with its own token: GitHub Actions, GitLab `id_tokens`, Kubernetes, `CHUNKCTL_ID_TOKEN[_FILE]`'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l insecure-storage -d 'Keep the session in a plaintext file that only you may read (mode 0600)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l no-browser-hint -d 'Show address and code without explaining what to do with them, and leave the clipboard alone'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand login" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand logout" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand whoami" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand datasets" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand describe" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l sql -d 'One SELECT over datasets, instead of a slice; it sees masked values only' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l columns -d 'Columns, in the order wanted; all without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l where -d 'A condition in SQL over the columns as you see them (masked)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l order-by -d 'Order, as in SQL: `placed_at desc, order_id`' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l limit -d 'Rows at most' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l param -d 'Value of a parameter: what stands as `$NAME` in the SQL. A number, `true`, `false` and `null` are what they look like, all else is text' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l param-text -d 'The same, and the value is text whatever it looks like' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l format -d 'Encoding of the result' -r -f -a "parquet\t'Apache Parquet'
csv\t'RFC 4180, with a header line'
ndjson\t'One JSON object a line'
arrow\t'Arrow IPC stream'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l reason -d 'Why you would ask; policy may decide by it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l ticket -d 'Ticket this belongs to' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l standing -d 'Ask for a standing grant: once approved, the same fetch needs no approval for so long (`8h`), also with a smaller limit' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l standing-rows -d 'Rows that it may carry in all; as many as one fetch without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l standing-bytes -d 'Bytes that it may carry in all; as many as one fetch without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l not-before -d 'Ask for a delivery that begins at this time (`2026-12-01T22:00Z`) or later, and not at once' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l valid-for -d 'And within this time from then on (`90m`); without it, as long as an approval can be used at all' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l break-glass -d 'As `break-glass` would ask: in an emergency, without approval beforehand'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l verbose -d 'Also say what would run where'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand plan" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l sql -d 'One SELECT over datasets, instead of a slice; it sees masked values only' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l columns -d 'Columns, in the order wanted; all without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l where -d 'A condition in SQL over the columns as you see them (masked)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l order-by -d 'Order, as in SQL: `placed_at desc, order_id`' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l limit -d 'Rows at most' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l param -d 'Value of a parameter: what stands as `$NAME` in the SQL. A number, `true`, `false` and `null` are what they look like, all else is text' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l param-text -d 'The same, and the value is text whatever it looks like' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l reason -d 'Why you need it. Reviewers and auditors read it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l standing -d 'Ask for a standing grant: once approved, the same fetch needs no approval for so long (`8h`), also with a smaller limit' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l standing-rows -d 'Rows that it may carry in all; as many as one fetch without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l standing-bytes -d 'Bytes that it may carry in all; as many as one fetch without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l not-before -d 'Ask for a delivery that begins at this time (`2026-12-01T22:00Z`) or later, and not at once' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l valid-for -d 'And within this time from then on (`90m`); without it, as long as an approval can be used at all' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l ticket -d 'Ticket this belongs to' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l format -d 'Encoding; without it, what the file\'s name says, or Parquet' -r -f -a "parquet\t'Apache Parquet'
csv\t'RFC 4180, with a header line'
ndjson\t'One JSON object a line'
arrow\t'Arrow IPC stream'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -s o -l output -d 'File to write, or `-` for standard output. ./DATASET.parquet without it' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l wait -d 'Wait for approval at most this long (`90s`, `10m`, `1h30m`)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l request -d 'Go on with a request that was made before' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l parallel -d 'Chunks of a large result to receive at once. Parquet and Arrow of many chunks come as a folder with a file each' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l no-wait -d 'Do not wait for approval'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l resume -d 'Go on with the chunks of a large result that are here, beside what `--output` names'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand fetch" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l sql -d 'One SELECT over datasets, instead of a slice; it sees masked values only' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l columns -d 'Columns, in the order wanted; all without it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l where -d 'A condition in SQL over the columns as you see them (masked)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l order-by -d 'Order, as in SQL: `placed_at desc, order_id`' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l limit -d 'Rows at most' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l param -d 'Value of a parameter: what stands as `$NAME` in the SQL. A number, `true`, `false` and `null` are what they look like, all else is text' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l param-text -d 'The same, and the value is text whatever it looks like' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l reason -d 'What the emergency is. Reviewers and auditors read it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l ticket -d 'Ticket of the incident' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l format -d 'Encoding; without it, what the file\'s name says, or Parquet' -r -f -a "parquet\t'Apache Parquet'
csv\t'RFC 4180, with a header line'
ndjson\t'One JSON object a line'
arrow\t'Arrow IPC stream'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -s o -l output -d 'File to write, or `-` for standard output. ./DATASET.parquet without it' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand break-glass" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l pending -d 'Those that wait for a reviewer (the default)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l mine -d 'Only your own, in any state'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l all -d 'All that you may see, in any state'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand requests" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -f -a "show" -d 'Show one request whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -f -a "cancel" -d 'Withdraw your own request'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and not __fish_seen_subcommand_from show cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l reason -d 'Why' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from cancel" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one request whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'Withdraw your own request'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l undo -d 'How long a verdict can be taken back before it is signed' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l ssh-key -d 'Sign with this key of your ssh-agent as well; without it, with the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l plain -d 'Ask and answer line by line, for screen readers and simple terminals'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand review" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l reason -d 'Why you decide so. The requester and auditors read it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l digest -d 'Judge only the document with this digest, the one you have read' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l ssh-key -d 'Sign with this key of your ssh-agent as well; without it, with the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand approve" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l reason -d 'Why you decide so. The requester and auditors read it' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l digest -d 'Judge only the document with this digest, the one you have read' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l ssh-key -d 'Sign with this key of your ssh-agent as well; without it, with the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand reject" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l reason -d 'Why' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand revoke" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -f -a "list" -d 'List your sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -f -a "show" -d 'Show everything recorded under one session'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -f -a "replay" -d 'Show what was returned under a session, request or intent, and write it out where it was kept'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -f -a "revoke" -d 'End a session: yours, or anybody\'s for administrators'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and not __fish_seen_subcommand_from list show replay revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l all -d 'Everybody\'s (needs `audit_read`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -s o -l output -d 'Write what was returned to this file, or `-` for standard output (needs `audit_read`; reading is recorded)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l chunk -d 'The delivery of this chunk, where there are several' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from replay" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from help" -f -a "list" -d 'List your sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show everything recorded under one session'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from help" -f -a "replay" -d 'Show what was returned under a session, request or intent, and write it out where it was kept'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'End a session: yours, or anybody\'s for administrators'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand sessions; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -f -a "list" -d 'List the keys of your open sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -f -a "enroll" -d 'Enrol an SSH key of yours, to sign verdicts with'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -f -a "revoke" -d 'End every open session of one of your keys, or take an SSH key back for good'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and not __fish_seen_subcommand_from list enroll revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l all -d 'Everybody\'s (needs `audit_read`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l ssh -d 'The key, which your ssh-agent must have: its `.pub` file, or its fingerprint' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from enroll" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the keys of your open sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "enroll" -d 'Enrol an SSH key of yours, to sign verdicts with'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'End every open session of one of your keys, or take an SSH key back for good'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l receipt -d 'Receipt, where it is not PATH.receipt (one file only)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l trust -d 'Trust file to believe, instead of the log key pinned at sign-in' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l renew -d 'First asks the broker for receipts under its newest checkpoint, and keeps those that hold in the place of the old ones'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand verify" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "search" -d 'Search the log, newest first (needs `audit_read`; reading is recorded too)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "show" -d 'Show one entry whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "export" -d 'Write a bundle that proves itself offline, or what is derived from one (needs `audit_export`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "convert" -d 'Make tables, events or a report of a bundle, offline, once it has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "sample" -d 'Draw a sample that can be drawn again, offline, once the bundle has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "verify" -d 'Verify a bundle offline: exit 0 true, 1 false, 2 cannot tell'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "reconcile" -d 'Hold the source\'s own log against the evidence, offline: exit 1 when it shows a read without an intent'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "erase" -d 'Erase what the log holds of a person, for good (needs `administer`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "trust" -d 'Prepare what an auditor believes before looking'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and not __fish_seen_subcommand_from search show export convert sample verify reconcile erase trust help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l from -d 'Not before: RFC 3339, a date (UTC), or a span ago (`7d`)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l to -d 'Before: the same forms' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l user -d 'Person: subject, name or e-mail, exactly' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l dataset -d 'Dataset' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l request -d 'Request' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l kind -d 'Kind (`fetch.outcome`) or family (`fetch`)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l limit -d 'Entries at most' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from search" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l from -d 'Not before: RFC 3339, a date (UTC), or a span ago (`7d`)' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l to -d 'Before: the same forms' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l user -d 'Person: subject, name or e-mail, exactly' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l dataset -d 'Dataset' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l request -d 'Request' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l level -d 'Disclosure: 0 root only, 1 headers, 2 what and masks, 3 who and where, 4 all' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l trust -d 'Trust file whose last checkpoint the bundle shall meet; those made here are met anyway' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'What to write: the bundle, or, once it has verified, what is made of it' -r -f -a "bundle\t'The bundle: it proves itself offline'
jsonl\t'One JSON object an entry'
csv\t'A folder: one CSV a family of kinds, and the list of all entries'
parquet\t'The same folder as Parquet files, for what tells a number from a text'
ocsf\t'OCSF 1.8 events, one a line, for a SIEM'
oscal\t'OSCAL assessment results'
html\t'A report by control of ISO/IEC 27001:2022, one file'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s o -l output -d 'File to write, or `-` for standard output; `audit.bundle`, unless told otherwise' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l views -d 'Put tables for people into the bundle; `audit verify --views` makes them from any bundle'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l format -d 'What to make of it' -r -f -a "jsonl\t'One JSON object an entry'
csv\t'A folder: one CSV a family of kinds, and the list of all entries'
parquet\t'The same folder as Parquet files, for what tells a number from a text'
ocsf\t'OCSF 1.8 events, one a line, for a SIEM'
oscal\t'OSCAL assessment results'
html\t'A report by control of ISO/IEC 27001:2022, one file'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l trust -d 'The auditor\'s trust file; without it, the log key pinned at sign-in is believed' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -s o -l output -d 'File to write, or `-` for standard output; for csv and parquet, a folder to make' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from convert" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l population -d 'What to draw from' -r -f -a "fetches\t'Every time data was read'
sessions\t'Sign-ins'
requests\t'Requests, allowed and denied'
reviews\t'Verdicts of reviewers'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l sample -d 'How many to draw' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l seed -d 'Words that decide the draw; choose them after the bundle is in your hands' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l trust -d 'The auditor\'s trust file; without it, the log key pinned at sign-in is believed' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -s o -l output -d 'Sheet to write (CSV), or `-` for standard output' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l force -d 'Overwrite the file'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from sample" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l trust -d 'The auditor\'s trust file' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l views -d 'New folder for what the rows say as tables and JSON lines; made only where the answer is true' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l trust -d 'The auditor\'s trust file' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l log -d 'Log that the source keeps by itself; may be given several times' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l format -d 'What kind of log it is' -r -f -a "postgres-csv\t'PostgreSQL\'s csvlog, with `log_statement = \'all\'` or pgaudit'
s3\t'Access log of S3 and its like'"
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l account -d 'Account that only the broker holds; may be given several times' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l skew -d 'How far the clocks of source and broker may differ' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from reconcile" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l reason -d 'Why; it stands in the log' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l yes -d 'Do it: nothing brings the records back'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from erase" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -f -a "init" -d 'Write a trust file for the broker\'s log, to be completed by hand'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from trust" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "search" -d 'Search the log, newest first (needs `audit_read`; reading is recorded too)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one entry whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a bundle that proves itself offline, or what is derived from one (needs `audit_export`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "convert" -d 'Make tables, events or a report of a bundle, offline, once it has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "sample" -d 'Draw a sample that can be drawn again, offline, once the bundle has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verify a bundle offline: exit 0 true, 1 false, 2 cannot tell'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "reconcile" -d 'Hold the source\'s own log against the evidence, offline: exit 1 when it shows a read without an intent'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "erase" -d 'Erase what the log holds of a person, for good (needs `administer`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "trust" -d 'Prepare what an auditor believes before looking'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -f -a "keygen" -d 'Make a witness: its key, and its memory, which is empty'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -f -a "serve" -d 'Cosign checkpoints of logs that only grow (C2SP tlog-witness), until SIGTERM'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and not __fish_seen_subcommand_from keygen serve help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l key -d 'File for the private key. It must not exist' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l state -d 'File for what it remembers. It must not exist' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from keygen" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l state -d 'File with what it remembers, made by `keygen`. Never put an older copy in its place' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l key -d 'File with the private key, made by `keygen`' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l listen -d 'Where to listen; port 0 takes any' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l log -d 'Verifier key of a log to vouch for, as the log\'s operator published it. Again for each log, and for each key of one' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l tls-cert -d 'Certificate chain (PEM), to speak TLS' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l tls-key -d 'Private key of the certificate (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from serve" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from help" -f -a "keygen" -d 'Make a witness: its key, and its memory, which is empty'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Cosign checkpoints of logs that only grow (C2SP tlog-witness), until SIGTERM'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand witness; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -f -a "show" -d 'Show files, profile, broker and pinned log (the default)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -f -a "set" -d 'Change a setting of the profile'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -f -a "unpin" -d 'Forget the pinned log key of the broker, after its operator has confirmed the new one by another way'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and not __fish_seen_subcommand_from show set unpin help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from set" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from unpin" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show files, profile, broker and pinned log (the default)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change a setting of the profile'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "unpin" -d 'Forget the pinned log key of the broker, after its operator has confirmed the new one by another way'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l dir -d 'Folder to use; new, or that of an earlier demo, which is replaced. Below the state folder by default' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l orders -d 'Rows of the sample table `orders`' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l keep -d 'Leave the broker running and say how to reach and stop it'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand demo" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand completions" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l dir -d 'Write the pages of all commands into this folder' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l profile -d 'Profile to use: a named broker and place for its session' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l broker -d 'Address of the broker; without it, the profile\'s' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l ca-file -d 'Further certificate authorities to accept (PEM)' -r -F
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l passphrase-fd -d 'Read the passphrase of an encrypted session file from this file descriptor' -r
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l json -d 'Print one JSON event a line on standard output, instead of words'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -s q -l quiet -d 'Say nothing but answers, warnings and errors'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -l no-color -d 'Use no colour'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -s h -l help -d 'Print help'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand man" -s V -l version -d 'Print version'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "login" -d 'Sign in: with the browser of this machine, or a code that any browser can confirm'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "logout" -d 'End the session, here and at the broker'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "whoami" -d 'Show who is signed in, and what they may do'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "datasets" -d 'List what you may ask for'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "describe" -d 'Show a dataset\'s columns as you would see them'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "plan" -d 'Say what a fetch would do. Releases nothing'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "fetch" -d 'Fetch a slice of data, with its receipt'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "break-glass" -d 'Fetch in an emergency, without waiting for approval; loud, and reviewed afterwards'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "requests" -d 'List requests: yours, and those that wait for you'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "request" -d 'Show or cancel one request'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "review" -d 'Read what waits for you, and approve or reject it'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "approve" -d 'Approve a request, signed with your key'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "reject" -d 'Reject a request, signed with your key'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "revoke" -d 'Withdraw a request that was approved; running deliveries are cut'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "sessions" -d 'Show what was done under each sign-in, or end one'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "keys" -d 'Show which keys can act in your name, or end one'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "verify" -d 'Check offline that files are what the broker released'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "audit" -d 'Search, export and verify the evidence'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "witness" -d 'Vouch for logs that only grow, on a machine that is not their operator\'s'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "config" -d 'Show or change this machine\'s configuration'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "doctor" -d 'Find out why something does not work'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "demo" -d 'Try everything on this machine, with made-up data'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "man" -d 'Print the manual page, or write all of them'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami datasets describe plan fetch break-glass requests request review approve reject revoke sessions keys verify audit witness config doctor demo completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "show" -d 'Show one request whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "cancel" -d 'Withdraw your own request'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from sessions" -f -a "list" -d 'List your sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from sessions" -f -a "show" -d 'Show everything recorded under one session'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from sessions" -f -a "replay" -d 'Show what was returned under a session, request or intent, and write it out where it was kept'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from sessions" -f -a "revoke" -d 'End a session: yours, or anybody\'s for administrators'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "list" -d 'List the keys of your open sessions'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "enroll" -d 'Enrol an SSH key of yours, to sign verdicts with'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "revoke" -d 'End every open session of one of your keys, or take an SSH key back for good'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "search" -d 'Search the log, newest first (needs `audit_read`; reading is recorded too)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'Show one entry whole'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Write a bundle that proves itself offline, or what is derived from one (needs `audit_export`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "convert" -d 'Make tables, events or a report of a bundle, offline, once it has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "sample" -d 'Draw a sample that can be drawn again, offline, once the bundle has verified'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Verify a bundle offline: exit 0 true, 1 false, 2 cannot tell'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "reconcile" -d 'Hold the source\'s own log against the evidence, offline: exit 1 when it shows a read without an intent'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "erase" -d 'Erase what the log holds of a person, for good (needs `administer`)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "trust" -d 'Prepare what an auditor believes before looking'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from witness" -f -a "keygen" -d 'Make a witness: its key, and its memory, which is empty'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from witness" -f -a "serve" -d 'Cosign checkpoints of logs that only grow (C2SP tlog-witness), until SIGTERM'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show files, profile, broker and pinned log (the default)'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "set" -d 'Change a setting of the profile'
complete -c chunkctl -n "__fish_chunkctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "unpin" -d 'Forget the pinned log key of the broker, after its operator has confirmed the new one by another way'
