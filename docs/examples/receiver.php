<?php
// Takes qrisd's callbacks: checks who sent them, keeps each once, answers at once. PHP 8.0 or newer with pdo_sqlite.
//
//   CALLBACK_SECRETS="whsec_..." php -S 127.0.0.1:9000 receiver.php
//
// CALLBACK_SECRETS is what `qrisd callbacks secret` prints; while the secret is changed, both with a space between.
// A web server runs it as it is; then put the database (SHOP_DB) where the web server does not show it to everybody.

function is_genuine(string $id, string $timestamp, string $signatures, string $body): bool
{
    // Signed with a secret of ours, less than five minutes ago. $body is the bytes as they came, before any parsing.
    if (!preg_match('/^[0-9]{1,12}$/D', $timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    foreach (preg_split('/\s+/', trim((string) getenv('CALLBACK_SECRETS'))) as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        if (strlen($key) < 24) {
            throw new Exception('CALLBACK_SECRETS is not what `qrisd callbacks secret` prints');
        }
        $ours = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (explode(' ', $signatures) as $sent) { // there are two while the secret is changed
            if (hash_equals($ours, $sent)) {
                return true;
            }
        }
    }
    return false;
}

function keep(string $id, array $event): bool
{
    // True when it is news. One transaction, on the disk before we answer; if it fails, the callback is sent again.
    $payment = $event['data'];
    $shop = new PDO('sqlite:' . (getenv('SHOP_DB') ?: 'shop.db'), null, null, [PDO::ATTR_TIMEOUT => 5]);
    $shop->exec('CREATE TABLE IF NOT EXISTS seen (webhook_id TEXT PRIMARY KEY)');
    $shop->exec('CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, sequence INT, order_id, status, exception)');
    $shop->exec('BEGIN IMMEDIATE');
    $seen = $shop->prepare('INSERT OR IGNORE INTO seen VALUES (?)');
    $seen->execute([$id]);
    // Callbacks may overtake each other: the highest sequence says how a payment stands.
    $change = $shop->prepare('INSERT INTO payments VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
        sequence = excluded.sequence, status = excluded.status, exception = excluded.exception
        WHERE excluded.sequence > sequence');
    if ($seen->rowCount() > 0) { // otherwise our answer was lost, or somebody replayed it
        $change->execute(
            [$payment['id'], $event['sequence'], $payment['order_id'], $payment['status'], $payment['exception']]
        );
    }
    $shop->exec('COMMIT');
    return $change->rowCount() > 0;
}

http_response_code(500); // until it is kept, whatever goes wrong
$body = file_get_contents('php://input');
[$id, $timestamp, $signatures] = array_map(
    fn (string $name): string => $_SERVER["HTTP_WEBHOOK_$name"] ?? '',
    ['ID', 'TIMESTAMP', 'SIGNATURE']
);
if (!is_genuine($id, $timestamp, $signatures, $body)) {
    http_response_code(401);
    exit;
}
$event = json_decode($body, true, 512, JSON_THROW_ON_ERROR);
$news = str_starts_with($event['type'], 'payment.') && keep($id, $event);
http_response_code(200); // slow work (mail, stock) is for another program, which reads the table
if ($news) { // PAID without an exception: the goods may go
    error_log("{$event['data']['order_id']} is {$event['data']['status']} {$event['data']['exception']}");
}
