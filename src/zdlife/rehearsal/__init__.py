"""The rehearsal: a real rolling deploy of real processes on this machine, under load, with a ledger of every request.

    plan        what to rehearse, read from a TOML file; complaint.py says what is wrong with one
    servers     how each server is started
    processes   the processes started here, none of which outlives the rehearsal (warden.py sees to it)
    fleet       the instances: started, awaited, told to stop; life.py tells what became of each
    balancer    who decides where a request goes: direct, haproxy.py, nginx.py
    client      one HTTP exchange, and how it ended
    load        requests at their planned instants, whatever happens; sockets.py has the WebSockets
    strategies  the order of replacements
    ledger      what was asked, what the client heard, what the application says it did
    witness     the application's half of the ledger; it runs inside the instances
    judge       one outcome for every request
    findings    the causes, and the knobs
    run         `rehearse`: all of it together
    result      what came out, as values

The witness is imported into every instance, so importing this package imports nothing else.
"""
