<?php
// SimpleSAMLphp as tests/servers/saml.sh starts it: nothing is kept, nothing is sent anywhere.
$dir = getenv('CHUNK_TEST_SAML_DIR');
$config = [
    'baseurlpath' => getenv('CHUNK_TEST_SAML_BASE'),
    'certdir' => "$dir/",
    'loggingdir' => "$dir/log/",
    'datadir' => "$dir/data/",
    'tempdir' => "$dir/tmp",
    'metadatadir' => __DIR__ . '/metadata/',
    'metadata.sources' => [
        ['type' => 'flatfile'],
        // What the broker says of itself at /saml/metadata, as an administrator would register it.
        ...(is_file("$dir/sp.xml") ? [['type' => 'xml', 'file' => "$dir/sp.xml"]] : []),
    ],
    'secretsalt' => 'of-a-server-that-is-thrown-away',
    'auth.adminpassword' => 'nobody-signs-in-as-administrator',
    'technicalcontact_email' => 'na@example.org',
    'timezone' => 'UTC',
    'logging.level' => SimpleSAML\Logger::NOTICE,
    'logging.handler' => 'errorlog',
    'showerrors' => true,
    'errorreporting' => false,
    'enable.saml20-idp' => true,
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'session.phpsession.cookiename' => 'SimpleSAML',
    'session.duration' => 28800,
    'store.type' => 'phpsession',
    'module.enable' => ['core' => true, 'exampleauth' => true, 'saml' => true],
    'language.available' => ['en'],
    'language.default' => 'en',
    'authproc.idp' => [],
    'authproc.sp' => [],
    'admin.checkforupdates' => false,
];
