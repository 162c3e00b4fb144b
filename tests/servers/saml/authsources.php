<?php
// The people of the tests, with the groups that the policies of tests/it/support/config.rs know.
$person = fn (string $name, string ...$groups) => [
    'uid' => [$name], 'mail' => ["$name@people.example"], 'displayName' => [ucfirst($name)], 'groups' => $groups,
];
$config = [
    'people' => [
        'exampleauth:UserPass',
        'dana:dana-password' => $person('dana', 'oncall', 'developers'),
        'rita:rita-password' => $person('rita', 'reviewers'),
        'anna:anna-password' => $person('anna', 'auditors'),
        'mallory:mallory-password' => $person('mallory', 'guests'),
    ],
];
