<?php
// A counter for `logux serve --backend`, in PHP without a framework.
//
//     LOGUX_CONTROL_SECRET=secret php -S 127.0.0.1:8000 server.php

$secret = getenv('LOGUX_CONTROL_SECRET');
$logux = getenv('LOGUX_URL') ?: 'http://127.0.0.1:31337/';
$file = getenv('COUNTER_FILE') ?: 'counter.txt';

$request = json_decode(file_get_contents('php://input'), true);
if (!is_array($request) || ($request['version'] ?? 0) !== 4) {
    http_response_code(400);
    exit('Back-end protocol version is not supported');
}
if (!hash_equals($secret, $request['secret'] ?? '')) {
    http_response_code(403);
    exit('Wrong secret');
}

// Each answer leaves at once: what was approved is sent to others while it is still being processed.
$separator = '[';
function answer(array $answer): void
{
    global $separator;
    echo $separator, json_encode($answer);
    $separator = ',';
    flush();
}

function increment(string $file): void
{
    $handle = fopen($file, 'c+');
    flock($handle, LOCK_EX);
    $value = (int) stream_get_contents($handle) + 1;
    ftruncate($handle, 0);
    rewind($handle);
    fwrite($handle, (string) $value);
    fclose($handle);
}

function tell(string $logux, string $secret, array $action, array $meta): void
{
    $commands = [['command' => 'action', 'action' => $action, 'meta' => $meta]];
    $body = json_encode(['version' => 4, 'secret' => $secret, 'commands' => $commands]);
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $body];
    file_get_contents($logux, false, stream_context_create(['http' => $http]));
}

header('Content-Type: application/json');
foreach ($request['commands'] as $command) {
    if ($command['command'] === 'auth') {
        $good = ($command['token'] ?? null) === 'good';
        answer(['answer' => $good ? 'authenticated' : 'denied', 'authId' => $command['authId']]);
        continue;
    }
    $action = $command['action'];
    $id = $command['meta']['id'];
    [, $node] = explode(' ', $id);
    [$user, $client] = explode(':', $node);
    switch ($action['type']) {
        case 'logux/subscribe':
            if ($action['channel'] !== 'counter') {
                answer(['answer' => 'unknownChannel', 'id' => $id]);
                break;
            }
            answer(['answer' => 'approved', 'id' => $id]);
            $value = is_file($file) ? (int) file_get_contents($file) : 0;
            answer([
                'answer' => 'action',
                'id' => $id,
                'action' => ['type' => 'counter/set', 'value' => $value],
                'meta' => ['clients' => ["$user:$client"]],
            ]);
            answer(['answer' => 'processed', 'id' => $id]);
            break;
        case 'INC':
            if ($user === 'guest') {
                answer(['answer' => 'forbidden', 'id' => $id]);
                break;
            }
            answer(['answer' => 'resend', 'id' => $id, 'channels' => ['counter']]);
            answer(['answer' => 'approved', 'id' => $id]);
            increment($file);
            answer(['answer' => 'processed', 'id' => $id]);
            break;
        case 'ANNOUNCE':
            answer(['answer' => 'approved', 'id' => $id]);
            tell($logux, $secret, ['type' => 'announced', 'text' => $action['text']], ['channels' => ['counter']]);
            answer(['answer' => 'processed', 'id' => $id]);
            break;
        case 'BREAK':
            answer(['answer' => 'approved', 'id' => $id]);
            answer(['answer' => 'error', 'id' => $id, 'details' => 'this always fails']);
            break;
        default:
            answer(['answer' => 'unknownAction', 'id' => $id]);
    }
}
echo $separator === '[' ? '[]' : ']';
