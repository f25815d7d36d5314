# A counter for `logux serve --backend`, in Ruby with its standard library: policies, actions and channels as in logux_rails, and a small
# HTTP server under them.
#
#     LOGUX_CONTROL_SECRET=secret ruby server.rb 8000

require 'json'
require 'net/http'
require 'openssl'
require 'socket'

SECRET = ENV.fetch('LOGUX_CONTROL_SECRET')
LOGUX = URI(ENV.fetch('LOGUX_URL', 'http://127.0.0.1:31337/'))
COUNTER = ENV.fetch('COUNTER_FILE', 'counter.txt')
LOCK = Mutex.new

def value
  File.exist?(COUNTER) ? File.read(COUNTER).to_i : 0
end

# Sends an action on one's own account.
def logux_add(action, meta)
  commands = [{ command: 'action', action: action, meta: meta }]
  body = JSON.generate(version: 4, secret: SECRET, commands: commands)
  Net::HTTP.post(LOGUX, body, 'Content-Type' => 'application/json')
end

Call = Struct.new(:action, :meta) do
  def user = meta['id'].split[1].split(':').first
  def client = meta['id'].split[1].split(':').first(2).join(':')
end

# Who may do what.
POLICIES = {
  'INC' => ->(call) { call.user != 'guest' },
  'ANNOUNCE' => ->(_) { true },
  'BREAK' => ->(_) { true }
}.freeze

# Who else gets it.
RESEND = { 'INC' => { channels: ['counter'] } }.freeze

ACTIONS = {
  'INC' => ->(_) { LOCK.synchronize { File.write(COUNTER, value + 1) } },
  'ANNOUNCE' => ->(call) { logux_add({ type: 'announced', text: call.action['text'] }, { channels: ['counter'] }) },
  'BREAK' => ->(_) { raise 'this always fails' }
}.freeze

# What is in a channel.
CHANNELS = {
  'counter' => -> { [{ type: 'counter/set', value: value }] }
}.freeze

def carry_out(command, &answer)
  if command['command'] == 'auth'
    is_good = command['token'] == 'good'
    return answer.call(answer: is_good ? 'authenticated' : 'denied', authId: command['authId'])
  end
  call = Call.new(command['action'], command['meta'])
  reply = ->(name, more = {}) { answer.call({ answer: name, id: call.meta['id'] }.merge(more)) }
  begin
    type = call.action['type']
    type == 'logux/subscribe' ? subscribe(call, reply) : act(type, call, reply)
  rescue StandardError => e
    reply.call('error', details: e.message)
  end
end

def subscribe(call, reply)
  load = CHANNELS[call.action['channel']] or return reply.call('unknownChannel')
  reply.call('approved')
  load.call.each { |action| reply.call('action', action: action, meta: { clients: [call.client] }) }
  reply.call('processed')
end

def act(type, call, reply)
  policy = POLICIES[type] or return reply.call('unknownAction')
  return reply.call('forbidden') unless policy.call(call)

  reply.call('resend', RESEND[type]) if RESEND[type]
  reply.call('approved')
  ACTIONS.fetch(type).call(call)
  reply.call('processed')
end

def refuse(socket, status, text)
  socket.write("HTTP/1.1 #{status}\r\nContent-Length: #{text.bytesize}\r\n\r\n#{text}")
end

# Answers one request in chunks, each answer as soon as it is known. False at the end of the connection.
def serve(socket)
  return false unless socket.gets

  length = 0
  while (line = socket.gets) && line != "\r\n"
    length = line.split(':')[1].to_i if line.downcase.start_with?('content-length:')
  end
  request = JSON.parse(socket.read(length))
  return refuse(socket, '400 Bad Request', 'Back-end protocol version is not supported') unless request['version'] == 4
  return refuse(socket, '403 Forbidden', 'Wrong secret') unless OpenSSL.secure_compare(request['secret'], SECRET)

  socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
  chunk = ->(text) { socket.write("#{text.bytesize.to_s(16)}\r\n#{text}\r\n") }
  separator = '['
  request['commands'].each do |command|
    carry_out(command) do |answer|
      chunk.call(separator + JSON.generate(answer))
      separator = ','
    end
  end
  chunk.call(separator == '[' ? '[]' : ']')
  socket.write("0\r\n\r\n")
end

server = TCPServer.new('127.0.0.1', (ARGV[0] || 8000).to_i)
loop do
  Thread.new(server.accept) do |socket|
    socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    nil while serve(socket)
  rescue IOError, SystemCallError, JSON::ParserError
    nil # The other end is gone, or is no Logux server.
  ensure
    socket.close
  end
end
